"""The whole way from a file to a proved graph, on one screen.

    path ──read──▶ Source ──parse_text──▶ Value ──parse──▶ Spec ──prove──▶ Graph ──lower──▶ torch ──▶ TorchScript, .pt2
                                                                             └──passes──▶ lower ──▶ ONNX

Every stage reports what is wrong and goes on where it can; a graph is given only where nothing was wrong, and nothing
downstream checks again. What is exported has been run beside the torch module before it gets its name.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnc.analysis import check_report, check_table
from cnnc.analysis.lint import lint
from cnnc.diagnostics import CnncError, Code, Diagnostic, Source
from cnnc.diagnostics import render as rendering
from cnnc.diagnostics.collector import Collector, Enough
from cnnc.diagnostics.levels import Levels
from cnnc.diagnostics.missing_packages import named
from cnnc.expand.prove import check_whole, prove
from cnnc.graph.graph import Graph
from cnnc.language.model import Spec
from cnnc.language.parse import parse
from cnnc.targets.choices import DEFAULTS, OPSET
from cnnc.text.reader import parse_text
from cnnc.text.source import read
from cnnc.text.value import Value

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from cnnc.analysis.implied import Implied
    from cnnc.artifacts.export import Built
    from cnnc.passes.network import Network
    from cnnc.verification.verify import Agreement

SpecLike = str | Path | Mapping[str, Any]


@dataclass(frozen=True)
class Checked:
    """What a check found: the graph as far as it is known, and all diagnostics. It is `ok` where none is an error."""

    path: str
    graph: Graph | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        return not any(each.severity == "error" for each in self.diagnostics)

    def implied(self, batch: int = 1) -> "Implied":
        """Receptive fields, the sizes that the network takes, memory at a batch; raises CnncError unless it is `ok`."""
        from cnnc.analysis.implied import implied

        return implied(require_network(self), batch)

    def as_json(self, batch: int = 1) -> dict[str, Any]:
        """The line that `cnnc check --format json` prints: a promise to other programs."""
        return {
            "spec": self.path,
            "name": self.graph.name if self.graph else None,
            "ok": self.ok,
            **check_report.as_json(self.graph, batch),
            "diagnostics": [rendering.as_json(each) for each in self.diagnostics],
        }

    def as_text(
        self,
        depth: int | None = None,
        *,
        brief: bool = False,
        wide: bool = False,
        sort: check_report.Order | None = None,
        batch: int | None = None,
    ) -> str:
        """The table of a network without faults, or how many faults there are; `brief`: a line in either case.

        `depth` folds scopes; `wide` adds memory and receptive fields; `sort` puts those with the most first; `batch` is
        what memory is for.
        """
        path = rendering.visible(self.path)
        errors = len([each for each in self.diagnostics if each.severity == "error"])
        if errors:
            return f"{path}: {errors} error{'s' * (errors > 1)}"
        if self.graph is None:
            return f"{path}: fine, a file of blocks"
        if brief:
            return f"{path}: fine, {check_report.summary(self.graph)}"
        return check_table.table(self.graph, depth, sort=sort, wide=wide, batch=batch)


@named("check", "checking a spec")
def check(
    spec: SpecLike, *, set: Mapping[str, Any] | None = None, allow: Iterable[str] = (), deny: Iterable[str] = ()
) -> Checked:
    """Prove a spec: a path, `-` for standard input, or the spec itself as plain data. Never raises for a wrong spec.

    `set` gives values to the spec's parameters. Warnings whose codes are in `allow` are not told, those in `deny` are
    errors; `deny=["warnings"]` makes all of them errors that are not allowed. What is no warning raises ValueError.
    """
    if not isinstance(spec, str | Path | Mapping):
        raise TypeError(f"a spec is a path or a dict, not {type(spec).__name__}")
    collector = Collector(Levels.of(allow, deny))
    path = "<dict>" if isinstance(spec, Mapping) else str(spec)
    graph = None
    try:
        source = _source(spec)
        path = source.name
        settings = _settings(set) if set else {}
        root = parse_text(source)
        parsed = parse(source, root, collector.add)
        if parsed is not None:
            collector.allow = parsed.allow
            graph = prove(parsed, settings, collector.add)
            if graph is not None and not collector.found:
                _check_proved(graph, parsed, collector, settings=bool(settings))
            if graph is not None and collector.found:
                from cnnc.causes.shape_causes import explain  # a right spec has no use for it

                collector.explain(partial(explain, graph=graph, spec=parsed, overrides=settings))
    except CnncError as error:
        collector.add_all(error.diagnostics)
    except Enough:
        graph = None
    return Checked(path, graph, collector.in_order(path))


def _check_proved(graph: Graph, spec: Spec, collector: Collector, *, settings: bool) -> None:
    """What there is to say of a network whose nodes are all proved; `settings`: whether parameters are not its own."""
    check_whole(graph, spec, collector.add)
    if not all(each.type.known for each in graph.inputs):
        from cnnc.causes.open_sizes import check_sizes

        check_sizes(graph, collector.add)
    for node, warning in lint(graph):
        collector.warn(warning, graph.allows.get(node.path, ()))
    if not (settings or collector.found):  # with other parameters it may silence nothing
        collector.warn_of_unused(graph.allows.values(), spec.source)


def _source(spec: SpecLike) -> Source:
    if not isinstance(spec, Mapping):
        return read(spec)
    from cnnc.text.python_data import from_data

    return from_data(spec)


def _settings(given: Mapping[str, Any]) -> dict[str, Value]:
    from cnnc.text.python_data import overrides

    return overrides(given)


def load(spec: SpecLike, *, set: Mapping[str, Any] | None = None) -> Graph:
    """The proved graph of a spec; raises CnncError with every diagnostic where there is any error."""
    return require_network(check(spec, set=set))


def require_network(checked: Checked) -> Graph:
    """The graph of a check without errors; raises CnncError."""
    if checked.ok and checked.graph is None:
        message = f"{checked.path} is a file of blocks, which are no network by themselves"
        raise CnncError.of(Code.NO_INPUT_OR_OUTPUT, message, help="give a spec that brings it in with `use`")
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
    """The spec as a torch module, in training mode, on the CPU; raises CnncError.

    An fx GraphModule with readable `.code`, whose state_dict goes by the spec's paths. It takes the spec's inputs by
    position, each (N, C, H, W) or (N, features), and gives its output, or a tuple where there are several. Without
    `weights` (a file) it starts as torch starts its modules, drawn from `seed`. `map` is a file that says which of the
    weights is which, where their names are not the spec's; `key` names one of several state_dicts in it. `note` is told
    which was taken and what was stripped from its keys; else the logger `cnnc` is.
    """
    return _lower(load(spec, set=set), _Weights(weights, map, key), seed, note)


class _Weights(NamedTuple):
    """Where weights come from: a file, a map of its names, and which of its state_dicts."""

    file: str | Path | None
    map: str | Path | None
    key: str | None


def _lower(graph: Graph, given: _Weights, seed: int, note: Callable[[str], None] | None) -> "GraphModule":
    import numpy  # noqa: F401 - torch without it fails late, with an error of its own

    from cnnc.targets import torch_module
    from cnnc.weights.load import log, read

    if given.file is None:
        return torch_module.lower(graph, seed=seed)
    map = None if given.map is None else Path(given.map)
    return torch_module.lower(graph, read(Path(given.file), torch_module.shapes(graph), map, given.key, note or log))


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
    out: str | Path = "build",
    progress: Callable[[str], None] = lambda stage: None,
    note: Callable[[str], None] | None = None,
    after_pass: "Callable[[str, Network], None] | None" = None,
) -> "Built":
    """Write `out/NAME/`: the targets' files, the weights and the manifest; raises CnncError.

    `targets`, one or several, are among onnx, torchscript, pt2 and python. Everything is verified before it is named,
    and written so that an interrupted build leaves the earlier files or none. `weights`, `map`, `key` and `note` are
    those of `compile`. `progress` is told each stage and `after_pass` sees the network behind each pass, in threads of
    the build.
    """
    progress("checking the spec")
    graph = load(spec, set=set)
    progress("loading torch")
    from cnnc.artifacts.export import export, require_targets
    from cnnc.artifacts.metadata import Record

    targets = require_targets(graph, [targets] if isinstance(targets, str) else targets, opset)
    module = _lower(graph, _Weights(weights, map, key), seed, note)
    graph = _named_by(graph, weights)
    weights_from, map_from = (None if path is None else str(path) for path in (weights, map))
    record = Record(seed=seed, weights=weights_from, map=map_from, key=key, opset=opset)
    return export(graph, module, targets, Path(out), record, progress, after_pass)


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
) -> "Agreement":
    """How far a file that was made from the spec is from its torch module; raises CnncError where that is too far.

    `model` ends as its target's files do (.onnx, .pt, .pt2, .py), and another tool may have rewritten it. `weights`,
    `map`, `key` and `note` are those of `compile`, and so is `seed`, which draws the inputs too. The file
    runs in this process, without a time limit; `before_run` is called before it is loaded.
    """
    graph = load(spec, set=set)
    from cnnc.artifacts.rewritten import verify_file

    module = _lower(graph, _Weights(weights, map, key), seed, note)
    return verify_file(graph, module, Path(model), seed, before_run)


def _named_by(graph: Graph, weights: str | Path | None) -> Graph:
    """A graph without labels takes the names that its weights, already read, were trained with."""
    from cnnc.files.weights_stamp import labels

    names = labels(Path(weights)) if weights is not None and graph.labels is None else None
    shown = next(each for each in graph.outputs if not each.train_only)
    fits = names is not None and graph.type_of(shown.ref).elements == len(names)
    return replace(graph, labels=names) if fits else graph
