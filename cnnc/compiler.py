"""The compiler's pipeline, from a spec to a proved graph, a torch module and verified files.

    path ──read──▶ Source ──parse_text──▶ Value ──parse──▶ Spec ──prove──▶ Graph ──lower──▶ torch ──▶ TorchScript, .pt2
                                                                             └──passes──▶ lower ──▶ ONNX

Every stage reports its errors and continues if it can. The later stages get a graph only if there are no errors, so
they check nothing again. An exported file is compared with the torch module before it gets its final name.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnc.analysis import check_report, check_table
from cnnc.checking import complete, prove_values
from cnnc.diagnostics import CnncError, Code, Diagnostic, Source
from cnnc.diagnostics import render as rendering
from cnnc.diagnostics.collector import Collector, Enough
from cnnc.diagnostics.levels import Levels
from cnnc.diagnostics.missing_packages import named
from cnnc.graph.graph import Graph
from cnnc.precision.choices import MAX_DROP
from cnnc.targets.choices import DEFAULTS, OPSET
from cnnc.text.reader import parse_text
from cnnc.text.source import ReadSpec, read
from cnnc.text.value import Value

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from cnnc.analysis.implied import Implied
    from cnnc.artifacts.export import Built
    from cnnc.passes.network import Network
    from cnnc.precision.request import Request
    from cnnc.precision.verify import VersionAgreement
    from cnnc.verification.verify import Agreement

SpecLike = str | Path | Mapping[str, Any]


@dataclass(frozen=True)
class Checked:
    """The result of a check: the graph as far as it is known, and all diagnostics. `ok` means: there is no error."""

    path: str
    graph: Graph | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        return not any(each.severity == "error" for each in self.diagnostics)

    def implied(self, batch: int = 1) -> "Implied":
        """Receptive fields, valid input sizes, memory at batch size `batch`; raises CnncError unless `ok`."""
        from cnnc.analysis.implied import implied

        return implied(require_network(self), batch)

    def as_json(self, batch: int = 1) -> dict[str, Any]:
        """The object that `cnnc check --format json` prints; its keys are a stable interface for other programs."""
        from cnnc.formatting import edits  # a check in text does not need it

        return {
            "spec": self.path,
            "name": self.graph.name if self.graph else None,
            "ok": self.ok,
            **check_report.as_json(self.graph, batch),
            "diagnostics": list(map(edits.as_json, self.diagnostics)),
        }

    def as_text(
        self,
        depth: int | None = None,
        *,
        brief: bool = False,
        wide: bool = False,
        sort: check_report.Order | None = None,
        batch: int | None = None,
        whole: bool = False,
    ) -> str:
        """The table of the network if there are no errors, else the number of errors; `brief` makes it one line.

        `depth` folds blocks, `wide` adds memory and receptive fields, `sort` puts the largest rows first, and `batch`
        is the batch size for memory. `whole` paths are not shortened to make the table fit 120 columns.
        """
        path = rendering.visible(self.path)
        errors = len([each for each in self.diagnostics if each.severity == "error"])
        if errors:
            return f"{path}: {errors} error{'s' * (errors > 1)}"
        if self.graph is None:
            return f"{path}: fine, a file of blocks"
        if brief:
            return f"{path}: fine, {check_report.summary(self.graph)}"
        return check_table.table(self.graph, depth, sort=sort, wide=wide, batch=batch, whole=whole)


def check(
    spec: SpecLike, *, set: Mapping[str, Any] | None = None, allow: Iterable[str] = (), deny: Iterable[str] = ()
) -> Checked:
    """Prove a spec: a path, `-` for standard input, or the spec itself as plain data. Never raises for a wrong spec.

    `set` sets the spec's parameters. Warnings with codes in `allow` are not reported, those in `deny` are errors;
    `deny=["warnings"]` makes all other warnings errors. Raises ValueError for a code that is not a warning's.
    """
    return check_with(spec, read, set=set, allow=allow, deny=deny)


@named("check", "checking a spec")
def check_with(
    spec: SpecLike, read: ReadSpec, *, set: Mapping[str, Any] | None, allow: Iterable[str], deny: Iterable[str]
) -> Checked:
    """Like `check`; `read` reads the spec and the files that it uses."""
    if not isinstance(spec, str | Path | Mapping):
        raise TypeError(f"a spec is a path or a dict, not {type(spec).__name__}")
    collector = Collector(Levels.of(allow, deny))
    path = "<dict>" if isinstance(spec, Mapping) else str(spec)
    graph = None
    try:
        source = _source(spec, read)
        path = source.name
        proved = prove_values(source, parse_text(source), _settings(set) if set else {}, collector, read)
        graph = proved.graph
        complete(proved, collector)
    except CnncError as error:
        collector.add_all(error.diagnostics)
    except Enough:
        graph = None
    return Checked(path, graph, collector.in_order(path))


def _source(spec: SpecLike, read: ReadSpec) -> Source:
    if not isinstance(spec, Mapping):
        return read(spec)
    from cnnc.text.python_data import from_data

    return from_data(spec)


def _settings(given: Mapping[str, Any]) -> dict[str, Value]:
    from cnnc.text.python_data import overrides

    return overrides(given)


def load(spec: SpecLike, *, set: Mapping[str, Any] | None = None) -> Graph:
    """Return the proved graph of a spec; raises CnncError with all diagnostics if there is an error."""
    return require_network(check(spec, set=set))


def require_network(checked: Checked) -> Graph:
    """Return the graph of a check without errors; raises CnncError if there are errors or no network."""
    if checked.ok and checked.graph is None:
        message = f"{checked.path} contains only blocks, no network"
        raise CnncError.of(Code.NO_INPUT_OR_OUTPUT, message, help="pass a spec that imports this file with `use`")
    if not checked.ok or checked.graph is None:
        raise CnncError(checked.diagnostics)
    return checked.graph


@named("compile", "compiling a network")
def compile(
    spec: SpecLike,
    *,
    set: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    map: str | Path | None = None,
    key: str | None = None,
    seed: int = 0,
    note: Callable[[str], None] | None = None,
) -> "GraphModule":
    """Compile the spec to a torch module, in training mode, on the CPU; raises CnncError.

    Returns an fx GraphModule with readable `.code`, whose state_dict keys are the spec's paths. Its forward takes the
    spec's inputs by position, each (N, C, H, W) or (N, features), and returns the output, or a tuple of the outputs.
    `weights` is a file; without it, the weights have torch's default initialisation, drawn from `seed`. `map` is a file
    that maps the spec's names to those of the weights; `key` selects one of several state_dicts in the file. `note` is
    called with the selected state_dict and the prefix removed from its keys; without it, the logger `cnnc` is used.
    """
    return _lower(load(spec, set=set), _Weights(weights, map, key), seed, note)


class _Weights(NamedTuple):
    """The source of the weights: a file, a map of its names, and the key of one of its state_dicts."""

    file: str | Path | None
    map: str | Path | None
    key: str | None


def _lower(graph: Graph, given: _Weights, seed: int, note: Callable[[str], None] | None) -> "GraphModule":
    import numpy  # noqa: F401 - torch without it fails late, with an error of its own

    from cnnc.targets import torch_module
    from cnnc.weights.load import read_for

    if given.file is None:
        return torch_module.lower(graph, seed=seed)
    return torch_module.lower(graph, read_for(graph, given.file, given.map, given.key, note))


@named("build", "building a network")
def build(  # noqa: PLR0913 - all but the spec by keyword
    spec: SpecLike,
    *,
    targets: str | Iterable[str] = DEFAULTS,
    set: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    map: str | Path | None = None,
    key: str | None = None,
    seed: int = 0,
    opset: int = OPSET,
    uint8: bool = False,
    precision: "str | Iterable[str] | Request" = (),
    calibrate: str | Path | None = None,
    max_drop: float = MAX_DROP,
    out: str | Path = "build",
    progress: Callable[[str], None] = lambda stage: None,
    note: Callable[[str], None] | None = None,
    after_pass: "Callable[[str, Network], None] | None" = None,
) -> "Built":
    """Write `out/NAME/`: the targets' files, the weights and the manifest; raises CnncError.

    `targets` is one or several of onnx, torchscript, pt2, python, triton and spec. Each file is verified before it has
    its final name; an interrupted build leaves the earlier files or none. `weights`, `map`, `key`, `note` are as in
    `compile`. With `uint8`, the ONNX file takes pictures as uint8 (N, H, W, C). `precision` is one or several of int8
    and fp16, for more ONNX files; int8 needs `calibrate`, a data set or a folder of pictures, and may lose `max_drop`
    points of accuracy. `progress` gets each stage, `after_pass` the network after each pass, on the build's threads.
    """
    progress("checking the spec")
    graph = load(spec, set=set)
    progress("loading torch")
    from cnnc.artifacts.export import export, require_pixels, require_targets
    from cnnc.artifacts.metadata import Record
    from cnnc.precision.request import Request

    targets = require_targets(graph, [targets] if isinstance(targets, str) else targets, opset)
    request = Request.of(precision, calibrate, max_drop).require(trained=weights is not None, targets=targets)
    if uint8:
        require_pixels(graph, targets)
    module = _lower(graph, _Weights(weights, map, key), seed, note)
    graph = _named_by(graph, weights)
    record = Record(seed, str(weights) if weights else None, str(map) if map else None, opset, key, uint8)
    versions = None
    if request.precisions:
        from cnnc.precision.of_build import versions_of  # slow to import; most builds do not need it

        versions = versions_of(request, progress)
    return export(graph, module, targets, Path(out), record, progress, after_pass, versions)


@named("verify", "verifying a file")
def verify(
    spec: SpecLike,
    model: str | Path,
    *,
    set: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    map: str | Path | None = None,
    key: str | None = None,
    seed: int = 0,
    note: Callable[[str], None] | None = None,
    before_run: Callable[[], None] = lambda: None,
) -> "Agreement | VersionAgreement":
    """Compare a model file with the spec's torch module; raises CnncError if their outputs differ too much.

    `model` has its target's suffix (.onnx, .pt, .pt2, .py, .spec.yaml); another tool may have rewritten it. For int8
    and fp16 see `cnnc.precision.verify`. `weights`, `map`, `key`, `seed` and `note` are as in `compile`; `seed` also
    draws the inputs. The file runs in this process, without a time limit; `before_run` is called before it is loaded.
    """
    graph = load(spec, set=set)
    from cnnc.artifacts.rewritten import verify_file
    from cnnc.precision.verify import precision_of, verify_version

    module = _lower(graph, _Weights(weights, map, key), seed, note)
    if (precision := precision_of(Path(model))) is not None:
        return verify_version(graph, module, Path(model), precision, seed, before_run)
    return verify_file(graph, module, Path(model), seed, before_run)


def _named_by(graph: Graph, weights: str | Path | None) -> Graph:
    """Return the graph, labelled with the class names in the weights file if it has no labels of its own."""
    from cnnc.files.weights_stamp import labels

    names = labels(Path(weights)) if weights is not None and graph.labels is None else None
    named = replace(graph, labels=names)
    return named if names is not None and named.labelled and named.labelled[1] == len(names) else graph
