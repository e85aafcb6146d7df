"""The network under way: nodes are added one by one, and each must be valid as an op of the spec.

An op's own `infer` computes the shapes, so a network that was built here is also proved by `cnnc check`. Nodes that no
output needs in the end are left out, which is why a pattern may replace nodes that exist already.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from cnnc.importing.values import ConstantArray, GraphTensor, NewNode, OpenSide, Size, Sizes, Symbol, Unsupported
from cnnc.importing.views import settle
from cnnc.ops import registry
from cnnc.ops.base import Refusal
from cnnc.ops.types import TensorType

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

LONGEST = 100_000  # nodes
KEEPS = ("layer_norm", "group_norm", "instance_norm", "softmax", "log_softmax", "l2_norm")  # the shape
MOST = 10**10  # elements of a value


class FlatNetwork:
    """The nodes made so far. `batch` is the first size of every value: a Symbol, or the number that the file fixes.

    `traced`: the file is of `torch_trace`, and its initializers are tensors of the module.
    """

    def __init__(self, batch: Size, traced: bool = False) -> None:
        self.batch, self.traced = batch, traced
        self.made: list[NewNode] = []
        self.settled: dict[Any, GraphTensor] = {}
        self.origin: Any = None

    def input(self, name: str, sizes: Sizes) -> GraphTensor:
        """Add an input of the network; its open sizes, other than the batch, are None in `sizes`."""
        made = NewNode("", {"name": name}, (), (sizes,))
        rest = tuple(Symbol((OpenSide(made, 0, k),)) if size is None else size for k, size in enumerate(sizes))
        made.sizes = ((self.batch, *rest[1:]),)
        self.made.append(made)
        return GraphTensor(made)

    def add(
        self,
        op: str,
        inputs: Sequence[GraphTensor],
        attributes: Mapping[str, Any] | None = None,
        *,
        weights: Mapping[str, ConstantArray] | None = None,
        like: GraphTensor | None = None,
    ) -> GraphTensor:
        """Add a node of the spec and return its first output; raises Unsupported if the op cannot take its inputs."""
        given = {name: value for name, value in (attributes or {}).items() if value is not None}
        inputs = tuple(settle(self, each) for each in inputs)
        made = NewNode(op, given, inputs, (), like=like, origin=self.origin)
        made.sizes = self._infer(made)
        for name, known in (weights or {}).items():
            made.weights[name] = known.array
        made.names = tuple(known.name for known in (weights or {}).values() if known.whole and known.name)
        return self._append(made)

    def part(self, op: str, inputs: Sequence[GraphTensor], sizes: Sizes, **attributes: Any) -> GraphTensor:
        """Add a node that is only part of a pattern; its inputs keep their steps."""
        return self._append(NewNode(op, attributes, tuple(inputs), (sizes,), origin=self.origin))

    def _append(self, made: NewNode) -> GraphTensor:
        if len(self.made) >= LONGEST:
            raise Unsupported(f"the network has more than {LONGEST:,} nodes")
        self.made.append(made)
        return GraphTensor(made)

    def _infer(self, made: NewNode) -> tuple[Sizes, ...]:
        lead = made.inputs[0].sizes[0] if made.inputs else self.batch
        types = [type_of(each) for each in made.inputs]
        likes = [type_of(made.like)] if made.like is not None else []
        hidden = [TensorType((1,))] if not types else []  # of a parameter or a constant
        attributes = made.attributes | ({"like": "like"} if made.like is not None else {})
        try:
            found = registry.get(made.op).model_validate(attributes).infer(*(types or hidden), *likes)
        except Refusal as refusal:
            help = f"in cnnc's words: {refusal.help}" if refusal.help else None
            raise Unsupported(f"it would be {made.op}: {refusal.message}", help) from refusal
        except ValidationError as error:
            fault = error.errors()[0]
            place = ".".join(map(str, fault["loc"]))
            raise Unsupported(
                f"`{made.op}` does not accept `{place}` = {fault['input']!r:.60}: {fault['msg']}"
            ) from error
        outputs = found if isinstance(found, tuple) else (found,)
        return tuple((lead, *self._named(made, port, each)) for port, each in enumerate(outputs))

    def _named(self, made: NewNode, port: int, type: TensorType) -> Iterator[Size]:
        """Yield the sizes of an output, with a symbol for each open one: its input's, if the node keeps the shape."""
        kept = made.inputs[0].sizes if made.inputs else ()
        same = kept and type == type_of(made.inputs[0]) and _keeps(made.op)
        if (type.elements or 0) > MOST:
            raise Unsupported(f"a value of {type} elements is too large")
        for axis, size in enumerate(type.shape, start=1):
            if size is not None:
                yield size
            elif same:
                yield kept[axis]
            else:
                yield Symbol((OpenSide(made, port, axis),))

    def alive(self, outputs: Sequence[GraphTensor]) -> list[NewNode]:
        """Return the nodes and inputs that the outputs need, in order."""
        needed, left = set[NewNode](), [each.made for each in outputs]
        while left:
            made = left.pop()
            if made not in needed:
                needed.add(made)
                left += [each.made for each in (*made.inputs, *([made.like] if made.like else []))]
        return [made for made in self.made if made in needed or not made.op]


def _keeps(op: str) -> bool:
    """Whether an op keeps the shape of its first input, position by position."""
    from cnnc.ops.base import Local
    from cnnc.ops.window import Windowed

    kind = registry.get(op)
    return (issubclass(kind, Local) and not issubclass(kind, Windowed)) or op in KEEPS


def type_of(value: GraphTensor) -> TensorType:
    """Return the type of a value: its sizes without the batch."""
    return TensorType(tuple(None if isinstance(size, Symbol) else size for size in value.sizes[1:]))
