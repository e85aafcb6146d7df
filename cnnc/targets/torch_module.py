"""Build a torch module from a graph: an fx GraphModule in which every scope is a GraphModule with its own forward.

Takes a Graph and optional weights; returns a module that trains, scripts, exports, compiles and copies like a
hand-written one. The keys of its state_dict are the paths of the spec: node `layer2.0.conv1` has its weight at
`layer2.0.conv1.weight`. The module takes the graph's inputs by position, each (N, C, H, W) or (N, features), and
returns the output, or a tuple in the order of `graph.outputs` if there are several.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from importlib import import_module
from operator import getitem
from threading import Lock
from typing import TYPE_CHECKING, Any

from cnnc.graph.graph import Graph, Node, Ref
from cnnc.language.names import TORCHSCRIPT
from cnnc.targets.module_scopes import ModuleScope, called, divide
from cnnc.targets.python_text import identifier

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.fx import GraphModule

_GENERATOR = Lock()


def lower(graph: Graph, weights: "Mapping[str, Tensor] | None" = None, seed: int = 0) -> "GraphModule":
    """Build the module, in training mode, on the CPU.

    Without `weights` it is initialised as torch does, from `seed`; the caller's random state is untouched. With
    `weights` (the whole state_dict, on any device) the module uses these tensors without copying them.
    """
    import torch

    if weights is not None:
        module = _without_data(graph)
        module.load_state_dict(weights, strict=True, assign=True)
        return module
    with seeded(seed), torch.device("cpu"):
        return _Forward(graph, divide(graph)).finish()


def lower_blank(graph: Graph) -> "GraphModule":
    """Build the module with weights of 0, for a caller that overwrites them: drawing initial ones doubles the time."""
    import torch

    module = _without_data(graph)
    zeros = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in module.state_dict().items()}
    module.load_state_dict(zeros, strict=True, assign=True)
    return module


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's generator on the CPU, and restore it afterwards; for one thread at a time, because it is global."""
    import torch

    with _GENERATOR, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """Return the keys and shapes of the module's state_dict without allocating it."""
    return {key: tuple(tensor.shape) for key, tensor in _without_data(graph).state_dict().items()}


def _without_data(graph: Graph) -> "GraphModule":
    import torch

    with torch.device("meta"):
        return _Forward(graph, divide(graph)).finish()


def resolve(function: str) -> Any:
    """Return the function with a dotted name like `torch.nn.functional.pad`."""
    package, *names = function.split(".")
    return reduce(getattr, names, import_module(package))


class FxBuilder:
    """Adds one node's computation to the fx graph of its scope; see ops.base.TorchBuilder."""

    def __init__(
        self, graph: Graph, node: Node, target: str, keys: str, fx: "torch.fx.Graph", holder: "torch.nn.Module"
    ) -> None:
        self.inputs, self.outputs = graph.input_types(node), node.outputs
        self._target, self._fx, self._holder = target, fx, holder
        self._keys = keys

    def module(self, kind: str, x: Any, /, **arguments: Any) -> Any:
        """Apply `torch.nn.<kind>(**arguments)`, at the node's path, to `x`."""
        self._register(kind, arguments)
        return self._fx.create_node("call_module", self._keys, (x,), name=self._target)

    def call(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """Apply a function given by its dotted name."""
        return self._fx.create_node("call_function", resolve(function), args, kwargs, name=self._target)

    def method(self, name: str, x: Any, *args: Any) -> Any:
        """Call a method of a tensor."""
        return self._fx.create_node("call_method", name, (x, *args), name=f"{self._target}_{name}")

    def parameter(self, name: str, shape: tuple[int, ...], fill: float, deviation: float = 0.0) -> Any:
        """Add a parameter at `PATH.name` or `PATH`, and initialise it."""
        import torch

        target = f"{self._keys}.{name}" if name else self._keys
        if not _has(self._holder, target):
            value = torch.full(shape, fill)
            value = value + deviation * torch.randn(shape) if deviation else value
            _put(self._holder, target, torch.nn.Parameter(value))
        return self._fx.create_node("get_attr", target, name=target)

    def tensors(self, kind: str, names: Sequence[str], /, **arguments: Any) -> list[Any]:
        """Register the tensors of `torch.nn.<kind>(**arguments)` at the node's path, and return those with these names.

        fx copies only the tensors of a module that is not called, so TorchScript does not compile its forward pass.
        """
        self._register(kind, arguments)
        paths = [f"{self._keys}.{name}" for name in names]
        return [self._fx.create_node("get_attr", path, name=path) for path in paths]

    def training(self) -> Any:
        """Return whether the module is in training mode."""
        return self._fx.create_node("get_attr", "training")

    def _register(self, kind: str, arguments: dict[str, Any]) -> None:
        """Add a module of torch.nn, unless an earlier node that shares its parameters has added it."""
        import torch

        if not _has(self._holder, self._keys):
            _put(self._holder, self._keys, getattr(torch.nn, kind)(**arguments))


class _Forward:
    """A scope's forward under construction: its fx graph, its submodules, and the values so far."""

    def __init__(self, graph: Graph, scope: ModuleScope) -> None:
        import torch

        self.graph, self.scope = graph, scope
        self.fx, self.holder = torch.fx.Graph(), torch.nn.Module()
        self.values: dict[Ref, Any] = {ref: self._take(ref) for ref in scope.takes}
        self.inner: list[GraphModule] = []

    def finish(self) -> "GraphModule":
        """Return the module of the scope, including the modules of inner scopes."""
        import torch

        for item in self.scope.items:
            self._add_scope(item) if isinstance(item, ModuleScope) else self._add_node(item)
        gives = [self.values[ref] for ref in self.scope.gives]
        self.fx.output(gives[0] if len(gives) == 1 else tuple(gives))
        with compiled(self.inner):
            module = torch.fx.GraphModule(self.holder, self.fx, class_name=_class_name(self.scope.block))
        hide_fx(module)
        return module

    def _take(self, ref: Ref) -> Any:
        """Add an argument of forward: `x` if an inner scope takes a single value, otherwise named after its source."""
        alone = bool(self.scope.path) and len(self.scope.takes) == 1
        name = "x" if alone else called(self.graph, ref)
        value = self.fx.placeholder("self_" if name == "self" else name)
        value.target = value.name  # fx has made it a valid identifier
        return value

    def _add_node(self, node: Node) -> None:
        target, keys = self.scope.local(node.path), self.scope.local(node.keys)
        builder = FxBuilder(self.graph, node, target, keys, self.fx, self.holder)
        result = node.op.to_torch(builder, *(self.values[ref] for ref in node.inputs))
        self._bind([Ref(node.path, port) for port in range(len(node.outputs))], result)

    def _add_scope(self, scope: ModuleScope) -> None:
        target = self.scope.local(scope.path)
        if scope.runs is None:
            self.inner.append(_Forward(self.graph, scope).finish())
            _put(self.holder, target, self.inner[-1])
        takes = tuple(self.values[ref] for ref in scope.takes)
        module = self.scope.local(scope.runs) if scope.runs else target
        result = self.fx.create_node("call_module", module, takes, name=target)
        ports = (self._port(result, index, ref) for index, ref in enumerate(scope.gives))
        self._bind(scope.gives, result if len(scope.gives) == 1 else tuple(ports))

    def _port(self, results: Any, index: int, ref: Ref) -> Any:
        name = self.scope.local(self.graph.spelling(ref))
        return self.fx.create_node("call_function", getitem, (results, index), name=name)

    def _bind(self, refs: list[Ref], result: Any) -> None:
        results = result if isinstance(result, tuple) else (result,)
        self.values.update(zip(refs, results, strict=True))


@contextmanager
def compiled(modules: "Sequence[GraphModule]") -> Iterator[None]:
    """Keep fx from generating the code of these modules again, which it does for each module that contains them."""
    for each in modules:
        vars(each)["recompile"] = lambda: None
    try:
        yield
    finally:
        for each in modules:
            del vars(each)["recompile"]


def _class_name(block: str) -> str:
    """Return a class name that is valid in TorchScript source, for networks with names like `resnet-18`."""
    name = identifier(block)
    return f"{name}_" if name in TORCHSCRIPT else name


def hide_fx(module: "GraphModule") -> None:
    """Hide fx's attributes from torch.jit.script: compiling them doubles its time and warns about each."""
    own = {"training", "_parameters", "_buffers", "_modules"}
    hidden = [name for name in vars(module) if name not in own]
    kind: Any = type(module)  # each has a class of its own
    kind.__jit_ignored_attributes__ = hidden
    kind.__annotations__ = dict.fromkeys(hidden, object)


def _has(holder: "torch.nn.Module", target: str) -> bool:
    """Whether `holder.<target>` exists."""
    found: Any = holder
    for part in target.split("."):
        found = getattr(found, part, None)
    return found is not None


def _put(holder: "torch.nn.Module", target: str, value: Any) -> None:
    """Set `holder.<target>`; missing parts of a dotted target become plain modules."""
    import torch

    *parts, name = target.split(".")
    for part in parts:
        if part not in dict(holder.named_children()):
            holder.add_module(part, torch.nn.Module())
        holder = getattr(holder, part)
    setattr(holder, name, value)
