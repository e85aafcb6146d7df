"""A common interface for three kinds of models: an ONNX file, a TorchScript file, a spec's graph with weights.

Each function returns a `Scorer`, which maps preprocessed pictures (N, C, H, W) to scores (N, classes). Its contract
describes the pictures and the scores, and is the same for all three kinds of one spec.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cnnc.artifacts.contract import Contract
from cnnc.diagnostics import CnncError, Code
from cnnc.files.checks import require_file, require_utf8
from cnnc.graph.graph import Graph
from cnnc.inference.providers import TIMEOUT

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Scorer:
    """A loaded model. Use as a context manager.

    `scores` maps float32 (N, C, H, W) on the CPU to (N, classes) on the CPU. `batch` is N if only one N is possible.
    """

    path: str
    contract: Contract
    scores: "Callable[[Tensor], Tensor]"
    device: str
    batch: int | None = None
    notes: tuple[str, ...] = ()
    held: AbstractContextManager[Any] = field(default_factory=nullcontext)

    def __enter__(self) -> "Scorer":
        self.held.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.held.__exit__(*error)


def of_onnx(path: str, device: str = "auto", *, accept_changed: bool = False, timeout: float = TIMEOUT) -> Scorer:
    """Load an ONNX file in onnxruntime, on `auto`, `cpu` or `cuda`; raises the errors of `predict.load_model`."""
    import numpy as np
    import torch

    from cnnc.inference.predict import load_model

    model = load_model(path, device, accept_changed=accept_changed, timeout=timeout)
    source, target = model.contract.input.name, model.contract.outputs[0]

    def scores(pictures: "Tensor") -> "Tensor":
        outputs, _ = model.runner.run({source: pictures.numpy()}, [target])
        return torch.from_numpy(np.array(outputs[target], np.float32))

    sides = {port.name: port.shape for port in model.runner.inputs}[source]
    batch = sides[0] if sides else None
    return Scorer(path, model.contract, scores, model.runner.choice.name, batch, model.notes, model)


def of_graph(path: str, graph: Graph, weights: "Mapping[str, Tensor]", device: str = "auto") -> Scorer:
    """Load a spec's graph with the state_dict of its module, without the training-only parts, as in exports."""
    from cnnc.passes.drop_train_only import drop_train_only
    from cnnc.passes.network import Network
    from cnnc.targets import torch_module

    arrays = {key: tensor.numpy() for key, tensor in weights.items()}
    inference = drop_train_only(Network(graph, arrays))
    module = torch_module.lower(inference.graph, {key: weights[key] for key in inference.weights})
    return _of_module(path, inference.graph, module, device)


def of_torchscript(
    path: str, load: Callable[[Mapping[str, Any]], Graph], device: str = "auto", *, accept_changed: bool = False
) -> Scorer:
    """Load a TorchScript file, with the manifest of its build in the same folder; `load` proves the manifest's spec.

    Raises CnncError (E501) if one of them cannot be read or, unless `accept_changed`, is not what the build wrote.
    """
    require_utf8(path, Code.MODEL_UNREADABLE, "read the model")
    require_file(path, Code.MODEL_UNREADABLE, "model")
    graph = load(_spec_of(Path(path), accept_changed))
    module = _load(path)
    from cnnc.passes.drop_train_only import drop_train_only
    from cnnc.passes.network import Network

    return _of_module(path, drop_train_only(Network(graph, {})).graph, module, device)


def _spec_of(path: Path, accept_changed: bool) -> Mapping[str, Any]:
    """Return the spec in the manifest in the file's folder; raises E501 unless the manifest's hash is the file's."""
    from cnnc.artifacts.metadata import spec_hash

    manifest = path.with_name(MANIFEST)
    try:
        content = json.loads(manifest.read_bytes())
        spec, digest = dict(content["spec"]), str(content["files"][path.name]["sha256"])
        intact = spec_hash(spec) == content["spec_sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "it is not what `cnnc build` writes, or does not list this file"
        raise CnncError.of(
            Code.MODEL_UNREADABLE,
            f"the model {path} needs the manifest of its build, but {manifest} cannot be read: {reason.lower()}",
            help=f"keep {MANIFEST}, which describes the inputs, in the model's folder; or evaluate the spec with "
            "--weights, or the .onnx file",
        ) from error
    if accept_changed:
        return spec
    if not intact:
        raise _changed(f"the spec in {manifest} is not the one that `cnnc build` wrote: its SHA-256 differs")
    try:
        with path.open("rb") as file:
            found = file_digest(file, "sha256").hexdigest()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CnncError.of(Code.MODEL_UNREADABLE, f"cannot read the model {path}: {reason}") from error
    if found != digest:
        raise _changed(f"the model {path} is not the file that {manifest} describes: its SHA-256 differs")
    return spec


def _changed(message: str) -> CnncError:
    return CnncError.of(
        Code.MODEL_UNREADABLE,
        message,
        help="the file was damaged or replaced: build it again with `cnnc build`; `--accept-changed` runs it as it is",
    )


def _load(path: str) -> "Module":
    from cnnc.targets import torchscript

    try:
        return torchscript.load(Path(path))
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise CnncError.of(Code.MODEL_UNREADABLE, f"cannot read the model {path}: {reason}") from error


def unsuited(scorer: Scorer, reason: str) -> CnncError:
    """Return E502: a model that eval cannot use."""
    return CnncError.of(Code.MODEL_UNSUITED, f"eval cannot use the model {scorer.path}: {reason}")


def require_picture(scorer: Scorer) -> None:
    """Raise E502 unless a picture is the model's only input."""
    to = scorer.contract.input
    if to.mode is None:
        raise unsuited(scorer, f"its input {to.name!r} {list(to.shape)} is not a picture")
    if scorer.contract.more_inputs:
        inputs = [each.name for each in scorer.contract.inputs]
        raise unsuited(scorer, f"it has {len(inputs)} inputs ({', '.join(inputs)})")


def require_finite(scorer: Scorer, output: "Tensor") -> None:
    """Raise E507 unless all scores of a batch are finite."""
    if not output.isfinite().all():
        bad = int((~output.isfinite()).sum())
        raise CnncError.of(
            Code.MODEL_FAILED,
            f"{scorer.path}: {bad} of the {output.numel()} scores of a batch are not finite",
            help="the weights are damaged or the training diverged: use an earlier checkpoint",
        )


def _of_module(path: str, graph: Graph, module: "Module", device: str) -> Scorer:
    import torch

    from cnnc.artifacts.metadata import contract_of

    place = choose(device)
    module = module.eval().to(place)

    def scores(pictures: "Tensor") -> "Tensor":
        with torch.inference_mode():
            output = module(pictures.to(place))
            return cast("Tensor", output[0] if isinstance(output, tuple) else output).float().cpu()

    return Scorer(path, contract_of(graph), scores, place)


def choose(device: str) -> str:
    """Return `cuda` or `cpu` for `auto`, `cuda` or `cpu`; raises E514 if CUDA is requested but not available."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise CnncError.of(
            Code.NO_DEVICE, "torch finds no usable CUDA device", help="use --device cpu or --device auto"
        )
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
