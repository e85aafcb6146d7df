"""An ONNX file in onnxruntime, on the CPU: as it is, with other weights, and with what its nodes give as outputs.

In go a path, and arrays by the names of initializers; out come runners. To exchange weights, the graph is parsed and
the numbers are handed to onnxruntime beside it, so that all that it does to a graph it does to the file's own.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.targets.onnx_parts import split
from cnnc.targets.runners import Runner, threads

if TYPE_CHECKING:
    import numpy as np
    import onnx
    import onnxruntime
    from torch import Tensor

    Array = np.ndarray[Any, np.dtype[Any]]


class LoadedOnnx:
    """An ONNX file; see runners.Loaded."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _session(self) -> "onnxruntime.InferenceSession":
        return _open(self._path)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the outputs."""
        return tuple(each.name for each in self._parts[0].graph.output)

    def run(self, inputs: "Sequence[Tensor]") -> "list[Array]":
        """The outputs of the file as it is."""
        return _runner(self._session)(inputs)

    @cached_property
    def _parts(self) -> "tuple[onnx.ModelProto, dict[str, Array]]":
        return split(self._path)

    def weights(self) -> "Mapping[str, Array]":
        """Its initializers of floats."""
        return self._parts[1]

    def values(self) -> set[str]:
        """The names of what its nodes give."""
        return {name for node in self._parts[0].graph.node for name in node.output if name}

    def with_weights(self, weights: "Mapping[str, Array]") -> Runner:
        """The file with other numbers for these initializers."""
        self.__dict__.pop("_session", None)  # which holds all of its own
        return self._with(weights, None)

    def run_values(self, weights: "Mapping[str, Array]", names: Iterable[str]) -> Runner:
        """The same, with these values of its nodes as its outputs."""
        return self._with(weights, names)

    def _with(self, weights: "Mapping[str, Array]", names: Iterable[str] | None) -> Runner:
        import onnx

        model, own = onnx.ModelProto(), self.weights()
        model.CopyFrom(self._parts[0])
        if names is not None:
            del model.graph.output[:]
            model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        for each in model.graph.initializer:
            if each.name in own and each.name not in weights:  # a constant, which onnxruntime may want to look at
                each.CopyFrom(onnx.TensorProto(name=each.name, data_type=each.data_type, dims=each.dims))
                each.raw_data = own[each.name].tobytes()
        used = {name for node in model.graph.node for name in node.input}
        return _runner(_open(model.SerializeToString(), {key: weights[key] for key in weights if key in used}))


def _open(model: "Path | bytes", weights: "Mapping[str, Array] | None" = None) -> "onnxruntime.InferenceSession":
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    if weights is not None:
        given = [onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(each)) for each in weights.values()]
        options.add_external_initializers(list(weights), given)
        # for a run or two, another copy of the weights is not worth its making
        options.add_session_config_entry("session.disable_prepacking", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _runner(session: "onnxruntime.InferenceSession") -> Runner:
    names = [each.name for each in session.get_inputs()]

    def run(inputs: "Sequence[Tensor]") -> "list[Array]":
        outputs: list[Array] = session.run(None, dict(zip(names, (each.numpy() for each in inputs), strict=True)))
        return outputs

    return run
