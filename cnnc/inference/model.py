"""Load an ONNX model to run on pictures: `load_model` returns a `Model`.

Takes an ONNX file and the files with the values of inputs that are not the picture. A model with a cnnc contract runs
in this process, because every picture is checked against the contract first. Any other model runs in a child process,
and gets pictures scaled to 0..1.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from cnnc.artifacts.contract import CONTRACT, Contract, InputContract
from cnnc.diagnostics import CnncError
from cnnc.diagnostics.missing_packages import named
from cnnc.inference.given_inputs import Given, read_inputs
from cnnc.inference.integrity import OpenModel, open_model
from cnnc.inference.ports import check_ports, guess, show, unsuited
from cnnc.inference.providers import TIMEOUT
from cnnc.inference.session import Port, Runner, Session


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model. `notes` are messages to show once, such as why the GPU is not used.

    `source` is the input that takes the pictures, None if there is none; `given` are the arrays of all other inputs.
    """

    path: str
    contract: Contract
    runner: Runner
    notes: tuple[str, ...] = ()
    source: InputContract | None = None
    given: Given = field(default_factory=dict)

    @property
    def single(self) -> bool:
        """Whether the model takes only one picture at a time."""
        return any(port.shape[:1] == (1,) for port in self.runner.inputs)

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.close()


class _Options(NamedTuple):
    """How to run a model; the fields are arguments of `load_model`."""

    provider: str
    allow_external: bool
    timeout: float
    threads: int | None
    at_once: bool


@named("infer", "running a model")
def load_model(
    model: str | os.PathLike[str] | OpenModel,
    provider: str = "auto",
    *,
    allow_external: bool = False,
    accept_changed: bool = False,
    timeout: float = TIMEOUT,
    threads: int | None = None,
    at_once: bool = False,
    inputs: Mapping[str, str] | None = None,
) -> Model:
    """Load an ONNX file, from its path or an OpenModel. Use as a context manager.

    `provider` is `auto`, `cpu`, `cuda` or `tensorrt`. `allow_external` reads weights in other files of the model's
    folder, `accept_changed` accepts a file of cnnc that was damaged or rewritten. `timeout` is the limit in seconds for
    loading, and for each run, of a model without cnnc's metadata. `threads` is the number of threads of each run on the
    CPU, by default one per core; or one, if runs are to be `at_once` and the model allows that. `inputs` are the files
    with the values of all inputs but the picture.
    Raises CnncError: E501 if it is not an ONNX model or not as cnnc wrote it, E502 if its inputs are not a picture and
    those of `inputs`, E506 if the provider cannot run here, E507 if onnxruntime crashes or exceeds the timeout, E508 or
    E510 for one of `inputs`.
    """
    opened = model if isinstance(model, OpenModel) else open_model(model, accept_changed=accept_changed)
    try:
        return _load(opened, _Options(provider, allow_external, timeout, threads, at_once), inputs or {})
    finally:
        opened.require_intact()  # damage is the likely cause of any other error, so it replaces that error


def _load(opened: OpenModel, options: _Options, inputs: Mapping[str, str]) -> Model:
    file = opened.file
    text = file.metadata.get(CONTRACT)
    contract = Contract.from_json(text) if text is not None else None
    runner = _start(opened, contract, options)
    try:
        choice = runner.choice
        notes = [f"provider {choice.name}: {choice.reason}"] if choice.reason and not choice.asked else []
        if contract is None:
            contract = guess(file.path, runner)
            notes.append("the model has no cnnc contract: pictures are scaled to 0..1 and not normalised")
        check_ports(file.path, contract, runner)
        ports = {port.name: port for port in runner.inputs}
        given = read_inputs(inputs, ports, {each.name: each for each in contract.inputs})
        source = _source(file.path, contract, {name: port for name, port in ports.items() if name not in given})
    except CnncError:
        runner.close()
        raise
    return Model(file.path, contract, runner, tuple(notes), source, given)


def _start(opened: OpenModel, contract: Contract | None, options: _Options) -> Runner:
    file, provider = opened.file, options.provider
    external = options.allow_external or (contract is not None and opened.data is not None)
    if contract is not None and _is_safe(contract):
        one_each = 1 if options.at_once else None
        return Session(file, provider, allow_external=external, threads=options.threads or one_each)
    from cnnc.inference.child import Child

    opened.require_intact()  # damage may have hidden the contract of a file of cnnc
    return Child(file.path, provider, allow_external=external, timeout=options.timeout, threads=options.threads)


def _is_safe(contract: Contract) -> bool:
    """Whether all inputs can be checked before a run; the sizes of several open inputs may depend on each other."""
    return len(contract.inputs) == 1 or all(None not in each.shape for each in contract.inputs)


def _source(path: str, contract: Contract, open: Mapping[str, Port]) -> InputContract | None:
    """Return the input that takes the pictures: the only one of `open`, the inputs without values; None without any."""
    pictures = [each for each in contract.inputs if each.mode is not None and each.name in open]
    others = [name for name in open if name not in {each.name for each in pictures}]
    if not others and len(pictures) <= 1:
        return pictures[0] if pictures else None
    if others:
        listed = ", ".join(show(open[name]) for name in others)
        reason = f"its input {listed} is not a picture" if len(others) == 1 else f"its inputs {listed} are not pictures"
        kinds = "a .npy or .npz file"
    else:
        others = [each.name for each in pictures[1:]]
        reason = f"it takes {len(pictures)} pictures ({', '.join(open)})"
        kinds = "a picture, or a .npy or .npz file"
    given = " ".join(f"--input {name}=FILE" for name in others)
    raise unsuited(path, reason, f"give the values with {given}, where FILE is {kinds}")
