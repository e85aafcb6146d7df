"""From an opened ONNX file to a network of ops: node by node, with constants folded.

Takes an `OnnxFile`; returns a `Translated`. Each node that cannot be imported is one diagnostic (E411); nodes that
depend on it are not reported.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from cnnc.diagnostics import CnncError, Code, Diagnostic
from cnnc.importing import channels_last
from cnnc.importing.constant_budget import ConstantBudget
from cnnc.importing.flat_network import FlatNetwork
from cnnc.importing.fold import fold
from cnnc.importing.onnx_file import OnnxFile, as_array
from cnnc.importing.onnx_nodes import OnnxNode
from cnnc.importing.table import MARKERS, ROWS
from cnnc.importing.values import DOMAIN, ConstantArray, Content, GraphTensor, N, NewNode, NotImported, Unsupported
from cnnc.importing.views import settle

DEEPEST = 16  # of nested branches
MOST = 100  # nodes in a report


@dataclass(frozen=True)
class Translated:
    """The network: its inputs and outputs by the file's names, and the nodes that they need, in order."""

    inputs: Mapping[str, GraphTensor]
    outputs: Mapping[str, GraphTensor]
    nodes: Sequence[NewNode]
    batch: int | None  # the batch that the file fixes, if it does
    channels_last: frozenset[str] = frozenset()  # inputs whose channels are the last axis in the file alone


def translate(file: OnnxFile, sizes: Mapping[str, Sequence[int]], *, traced: bool = False) -> Translated:
    """Import all nodes; raises CnncError with an E411 for each node that cannot be imported.

    `sizes` are shapes, without the batch, for inputs with open sizes. `traced`: the file is of `torch_trace`, whose
    nodes may be of a domain of our own.
    """
    return _Translator(file, sizes, traced).run()


class _Translator:
    def __init__(self, file: OnnxFile, sizes: Mapping[str, Sequence[int]], traced: bool) -> None:
        self.file, self.traced = file, traced
        batches = {each.shape[0] for each in file.inputs}
        self.batch = next(iter(batches)) if len(batches) == 1 else None
        self.net = FlatNetwork(N if self.batch is None else self.batch, traced)
        self.values: dict[str, Content] = {}
        self.checks = _checks(file.opset)
        self.budget = ConstantBudget(sum(prod(each.dims) for each in file.graph.initializer))
        self.depth, self.inner = 0, dict[str, Any]()  # of branches of an If: their depth, and their constants
        self.problems: list[Diagnostic] = []
        self.used = Counter([*file.outputs, *(name for proto in file.graph.node for name in proto.input)])
        self.inputs: dict[str, GraphTensor] = {}
        self.turned: set[str] = set()
        for each in file.inputs:
            shape: tuple[Any, ...] = (each.shape[0], *sizes.get(each.name, each.shape[1:]))
            self.values[each.name] = self.inputs[each.name] = self._input(each.name, shape)

    def _input(self, name: str, shape: tuple[Any, ...]) -> GraphTensor:
        """Add an input, with its channels first if the file only transposes it to that; those of a module stay."""
        if self.traced or name not in self.file.channels_last:
            return self.net.input(name, shape)
        self.turned.add(name)
        first = self.net.input(name, tuple(shape[axis] for axis in channels_last.FIRST))
        return channels_last.transposed(first, channels_last.LAST)

    def run(self) -> Translated:
        for proto in self.file.graph.node:
            self._add(proto)
        outputs = {name: self._output(name) for name in self.file.outputs}
        found = {name: value for name, value in outputs.items() if value is not None}
        nodes = self.net.alive([*found.values()])
        self._require_whole(nodes)
        self._require_used(nodes)
        if self.problems:
            raise CnncError(self._listed())
        inputs = {name: GraphTensor(value.made) for name, value in self.inputs.items()}
        return Translated(inputs, found, [made for made in nodes if made.op], self.batch, frozenset(self.turned))

    def _listed(self) -> list[Diagnostic]:
        if len(self.problems) <= MOST:
            return self.problems
        rest = len(self.problems) - MOST
        return [*self.problems[:MOST], Diagnostic(Code.NOT_IMPORTABLE, f"{self.file.path}: and {rest:,} more nodes")]

    def _add(self, proto: Any) -> None:
        inputs = [self._content(name) for name in proto.input]
        outputs = [name for name in proto.output if name]
        if any(isinstance(each, NotImported) for each in inputs):
            self.values |= dict.fromkeys(outputs, NotImported())
            return
        if proto.op_type == "If" and isinstance(inputs[0], ConstantArray) and inputs[0].array.size == 1:
            self._branch(proto, inputs[0])
            return
        self.net.origin = proto
        try:
            node = OnnxNode(proto, proto.op_type, inputs, _attributes(proto), self.file.opset, self.used)
            found = self._apply(node)
        except Unsupported as reason:
            self._refuse(proto, reason)
            self.values |= dict.fromkeys(outputs, NotImported())
            return
        for name, content in zip(proto.output, found, strict=False):
            self.values[name] = content
            if isinstance(content, GraphTensor) and self.used[name] > 1:
                content.made.is_shared = True
            if isinstance(content, GraphTensor) and not content.steps and not self.depth:
                content.made.values.setdefault(content.port, name)
        for name in outputs[len(found) :]:
            self.values[name] = NotImported()

    def _branch(self, proto: Any, condition: ConstantArray) -> None:
        """Import the nodes of the branch of an If whose condition is constant."""
        wanted = "then_branch" if bool(condition.array.ravel()[0]) else "else_branch"
        graph = next((each.g for each in proto.attribute if each.name == wanted), None)
        if graph is None or self.depth >= DEEPEST:
            self._refuse(proto, Unsupported("its branch is missing, or it is nested too deep"))
            return
        self.depth += 1
        self.used.update([*(name for node in graph.node for name in node.input), *(each.name for each in graph.output)])
        self.inner |= {each.name: each for each in graph.initializer}
        for node in graph.node:
            self._add(node)
        self.depth -= 1
        for outer, inner in zip(proto.output, graph.output, strict=False):
            self.values[outer] = self._content(inner.name) or NotImported()

    def _apply(self, node: OnnxNode) -> Sequence[Content]:
        if node.op == "If":
            raise Unsupported("it has control flow: its condition is computed", "export it by tracing")
        if self.traced and node.proto.domain == DOMAIN:
            return MARKERS[node.op](self.net, node)
        if node.proto.domain not in ("", "ai.onnx"):
            raise Unsupported(f"it is of the domain {node.proto.domain!r}", "export it with the ops of ONNX alone")
        folded = fold(node, self.budget)
        if folded is not None:
            return folded
        row = ROWS.get(node.op)
        if row is None:
            raise Unsupported("no op of cnnc computes it", "`cnnc explain ops` lists the ops that there are")
        others = sorted(node.attributes.keys() - {*row.attributes})
        if others:
            raise Unsupported(f"its attribute {others[0]} = {node.attributes[others[0]]!r:.40} is not covered")
        self._check(node.proto)
        try:
            moved = channels_last.moved(node, traced=self.traced)
            found = row.add(self.net, moved.node if moved else node)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # of values that no exporter writes
            raise Unsupported(f"its attributes and inputs do not fit each other ({str(error)[:80]})") from error
        outputs = found if isinstance(found, Sequence) else [found]
        return [moved.seen(each) for each in outputs] if moved else outputs

    def _check(self, proto: Any) -> None:
        """Raise Unsupported for a node with the wrong number of inputs, or attributes of the wrong kind."""
        from onnx import checker

        try:
            checker.check_node(proto, self.checks)
        except Exception as error:  # onnx has several kinds
            raise Unsupported(f"it is not a valid node: {str(error).strip().splitlines()[0][:120]}") from error

    def _content(self, name: str) -> Content | None:
        if not name:
            return None
        if name not in self.values:
            if name in self.inner:
                return ConstantArray(as_array(self.file.path, self.inner[name]), name, whole=True)
            if name not in self.file.initializers:
                return NotImported()
            array = self.file.constant(name)
            self.values[name] = ConstantArray(np.asarray(array), name, whole=True)
        return self.values[name]

    def _refuse(self, proto: Any, reason: Unsupported) -> None:
        name = proto.name or (proto.output[0] if proto.output else "?")
        message = f"{self.file.path}: node {name!r} ({proto.op_type}) cannot be imported: {reason.why}"
        self.problems.append(Diagnostic(Code.NOT_IMPORTABLE, message, help=reason.help))

    def _output(self, name: str) -> GraphTensor | None:
        found = self._content(name)
        if isinstance(found, GraphTensor):
            try:
                settled = settle(self.net, found)
                return settled if settled.made.op else self.net.add("identity", [settled])
            except Unsupported as reason:
                found = NotImported()
                why = reason.why
        elif isinstance(found, ConstantArray):
            why = "it does not depend on an input"
        elif self.problems:
            return None
        else:
            why = "no node computes it"
        message = f"{self.file.path}: the output {name!r} cannot be imported: {why}"
        self.problems.append(Diagnostic(Code.NOT_IMPORTABLE, message))
        return None

    def _require_used(self, nodes: Sequence[NewNode]) -> None:
        """Report inputs that no output depends on."""
        used = {each.made for made in nodes for each in (*made.inputs, *([made.like] if made.like else []))}
        for name, value in self.inputs.items():
            if value.made not in used and len(self.inputs) > 1 and not self.problems:
                message = f"{self.file.path}: no output depends on the values of the input {name!r}"
                self.problems.append(Diagnostic(Code.NOT_IMPORTABLE, message, help="remove it from the file"))

    def _require_whole(self, nodes: Sequence[NewNode]) -> None:
        """Report parts of patterns that have not become an op."""
        for made in nodes:
            if made.op.startswith("_"):
                why = WHY_ALONE.get(
                    made.op, "cnnc has it only as a part of another op, and the other parts are missing"
                )
                self._refuse(made.origin, Unsupported(why))


WHY_ALONE = {
    **dict.fromkeys(
        ("_add", "_mul", "_maximum", "_minimum"),
        "its inputs have different shapes, and neither holds a number per channel, per position or per sample",
    ),
    "_erf": "cnnc has erf only as a part of gelu",
    "_matmul": "it multiplies stacks of matrices, which cnnc has only in `attention`, with a projection after it",
    "_l2": "cnnc has this norm only as a part of `l2_norm`",
}


def _checks(opset: int) -> Any:
    """Return the context in which onnx checks single nodes."""
    from onnx import checker

    context = checker.C.CheckerContext()
    context.ir_version = 10
    context.opset_imports = {"": opset}
    return context


def _attributes(proto: Any) -> dict[str, Any]:
    from onnx import AttributeProto, helper, numpy_helper

    found: dict[str, Any] = {}
    for each in proto.attribute:
        if each.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS, AttributeProto.SPARSE_TENSOR):
            raise Unsupported(f"its attribute {each.name} is a graph or sparse")
        try:
            value = helper.get_attribute_value(each)
            if each.type == AttributeProto.TENSOR:
                value = numpy_helper.to_array(value)
        except Exception as error:  # foreign bytes: onnx raises what it likes
            raise Unsupported(f"its attribute {each.name} is damaged") from error
        found[each.name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return found
