"""A whole network, in every form that it is to agree in.

What is equal, and how near values have to be, is what `cnnc.verification` says, which every build is held to; where
rounding alone moves the answer by more, as torch's in float64 shows, that much more is let through.
"""

import copy
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from math import inf, isnan
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cnnc.diagnostics import CnncError, Code
from cnnc.graph.graph import Graph, Ref
from cnnc.passes import pipeline
from cnnc.passes.drop_train_only import drop_train_only
from cnnc.passes.network import Network
from cnnc.targets import onnx_model as onnx_target
from cnnc.targets import python_source, sample_inputs, torchscript
from cnnc.targets import torch_module as torch_target
from cnnc.verification.compare import compare, noise
from cnnc.verification.rounding import with_rounding_errors
from tests.agreement.one_node import session_of
from tests.live import BATCH, enlivened
from tests.random_ops import SAMPLES

TOO_LARGE = 1e18  # for its square to be a float32
Arrays = list[np.ndarray]


def agree(graph: Graph, seed: int) -> None:
    """Assert that shapes, values and costs of a network are the same everywhere; `seed` draws weights and inputs."""
    where = spaces(graph)
    module: torch.nn.Module = enlivened(
        torch_target.lower(graph, seed=seed), sample_inputs.draw(graph, BATCH, where[0], seed), seed
    )
    costs_are_those_of(graph, module)
    weights = {key: value.numpy() for key, value in module.state_dict().items()}
    network = Network(graph, weights)
    shown = drop_train_only(network)
    graph, module = shown.graph, _of(shown)
    bare = onnx_target.lower(*_parts(shown), opset=17 + seed % 10)
    built = onnx_target.lower(*_parts(pipeline.run(network)))
    for model in (bare, built):
        shapes_are_those_of(graph, model)
    # what Pad_Fusion gets wrong a pass keeps from it, which the bare network has not been through
    sessions = {"onnx": session_of(bare, without=["Pad_Fusion"]), "onnx behind the passes": session_of(built)}
    # scripting takes as long as all else together
    others = {"torchscript": scripted(module)} if seed % 4 == 1 else {"python": printed(graph, module)}
    for at, space in enumerate(where):
        inputs = sample_inputs.draw(graph, 1 + seed % 3, space, seed)
        wanted = call(module, inputs)
        sizes_are_those_of(graph, space, wanted, call_on_meta(module, inputs) if at == 0 else wanted)
        slack = Slack(module, list(inputs))
        for name, session in sessions.items():
            names = [each.name for each in graph.inputs]
            found = session.run(None, {key: x.numpy() for key, x in zip(names, inputs, strict=True)})
            near(name, found, wanted, slack)
        for name, other in others.items():
            near(name, call(other, inputs), wanted, slack)


def spaces(graph: Graph) -> tuple[sample_inputs.Space, ...]:
    """The heights and widths of a verification, or of the writers of random specs where no rule can say what fits."""
    try:
        return sample_inputs.spaces(graph)
    except CnncError as error:
        if any(each.code != Code.NOT_EXPORTABLE for each in error.diagnostics):
            raise
        return SAMPLES


def _of(network: Network) -> torch.nn.Module:
    weights = {key: torch.from_numpy(np.array(value)) for key, value in network.weights.items()}
    return torch_target.lower(network.graph, weights).eval()


def _parts(network: Network) -> tuple[Graph, Any]:
    return network.graph, network.weights


def costs_are_those_of(graph: Graph, module: torch.nn.Module) -> None:
    """Each node's parameters and statistics are those that the state_dict has below its path."""
    params: Counter[str] = Counter()
    buffers: Counter[str] = Counter()
    for key, value in module.named_parameters():
        params[graph.owner(key) or key] += value.numel()
    for key, buffer in module.named_buffers():
        buffers[graph.owner(key) or key] += buffer.numel() * (not key.endswith("num_batches_tracked"))
    assert params == Counter({node.path: node.cost.params for node in graph.nodes}), "parameters"
    assert buffers == Counter({node.path: node.cost.buffers for node in graph.nodes}), "running statistics"


def shapes_are_those_of(graph: Graph, model: onnx.ModelProto) -> None:
    """ONNX's strict inference, told of the inputs alone, finds the type of every value that keeps its name."""
    onnx.checker.check_model(model)
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.graph.value_info[:]
    for output in bare.graph.output:
        output.type.tensor_type.ClearField("shape")
    proved = onnx.shape_inference.infer_shapes(bare, check_type=True, strict_mode=True, data_prop=True).graph
    wanted = {graph.spelling(ref): graph.type_of(ref).shape for ref in values_of(graph)}
    wanted |= {each.name: graph.type_of(each.ref).shape for each in graph.outputs}
    for value in [*proved.value_info, *proved.output]:
        if value.name in wanted:
            dims = value.type.tensor_type.shape.dim[1:]
            found = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)
            assert found == wanted[value.name], f"onnx infers {found} for {value.name}, we {wanted[value.name]}"


def values_of(graph: Graph) -> list[Ref]:
    return [Ref(node.path, port) for node in graph.nodes for port in range(len(node.outputs))]


def sizes_are_those_of(graph: Graph, space: sample_inputs.Space, wanted: Arrays, meta: Arrays) -> None:
    """What torch gives, and its meta device says, is what was inferred."""
    for output, value, other in zip(graph.outputs, wanted, meta, strict=True):
        assert value.shape == other.shape, f"{output.name}: torch {value.shape}, its meta device {other.shape}"
        shape = graph.type_of(output.ref).shape
        fits = len(shape) == value.ndim - 1 and all(
            ours in (None, its) for ours, its in zip(shape, value.shape[1:], strict=True)
        )
        assert fits, f"{output.name}: inferred {shape}, torch gives {value.shape} for {space}"


def call(module: Any, inputs: Any) -> Any:
    with torch.no_grad():
        result = module(*inputs)
    return [each.detach().numpy() for each in (result if isinstance(result, tuple) else (result,))]


def call_on_meta(module: torch.nn.Module, inputs: Any) -> Any:
    with torch.no_grad():
        result = copy.deepcopy(module).to("meta")(*(each.to("meta") for each in inputs))
    return result if isinstance(result, tuple) else (result,)


def scripted(module: torch.nn.Module) -> Any:
    """The module that a TorchScript file of it holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "module.pt"
        torchscript.write(module, path)  # type: ignore[arg-type]
        return torchscript.load(path)


def printed(graph: Graph, module: torch.nn.Module) -> torch.nn.Module:
    """The network that its Python source defines, with the module's weights."""
    names: dict[str, Any] = {}
    exec(compile(python_source.write(graph), "network.py", "exec"), names)
    network = [each for each in names.values() if isinstance(each, type) and issubclass(each, torch.nn.Module)][-1]()
    assert list(network.state_dict()) == list(module.state_dict())
    network.load_state_dict(module.state_dict())
    return network.eval()


class Slack:
    """What a module gives in float64, and how far rounding moves that; computed when first asked for."""

    def __init__(
        self, module: torch.nn.Module, inputs: list[torch.Tensor], outputs: Sequence[int] | None = None
    ) -> None:
        """`outputs` are the places of those that are looked at; all of them, where it is left out."""
        self.single, self.inputs, self.outputs = module, [each.double() for each in inputs], outputs

    @cached_property
    def module(self) -> torch.nn.Module:
        return copy.deepcopy(self.single).double()

    @cached_property
    def exact(self) -> Arrays:
        return self._kept(call(self.module, self.inputs))

    @cached_property
    def rounded(self) -> Arrays:
        """The answer where all that an operator takes is off by a float32's last place, of which some make much."""
        return self._kept(call(with_rounding_errors(self.module), self.inputs))

    @cached_property
    def overflows(self) -> bool:
        """Whether a value on the way is too large for a float32, or nearly: its square may be, or a sum of such."""
        module = self.module
        with _Largest() as seen:
            call(module, self.inputs)
        return seen.largest > TOO_LARGE

    def _kept(self, arrays: Arrays) -> Arrays:
        return arrays if self.outputs is None else [arrays[at] for at in self.outputs]


class _Largest(TorchDispatchMode):
    """Notes the largest magnitude that any operator gives: infinity where one gives NaN."""

    largest = 0.0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if function is not torch.ops.aten.constant_pad_nd.default:  # before a max pool it adds -inf
            found = [
                each.abs().max().item() for each in tree_leaves(result) if each.is_floating_point() and each.numel()
            ]
            self.largest = max([self.largest, *(inf if isnan(each) else each for each in found)])
        return result


def near(name: str, found: Arrays, wanted: Arrays, slack: Slack) -> None:
    """Values are torch's, as near as verification asks, or as rounding lets them be."""
    for at, (a, b) in enumerate(zip(found, wanted, strict=True)):
        assert a.shape == b.shape, f"{name}: {a.shape} where torch gives {b.shape}"
        if not np.isfinite(b).all():
            assert slack.overflows, f"{name}: torch's answer is not finite"
            continue
        if not compare(a, b).ok:
            distance = compare(a, b, noise(slack.exact[at], b, slack.rounded[at]))
            assert distance.ok, f"{name}: off by {distance.absolute:.3g}, {distance.relative:.3g} of the largest value"
