"""Run an ONNX file in onnxruntime, on the CPU: as it is, with other weights, or with node values as outputs.

Takes a path, and arrays by initializer name; returns runners. To replace weights, the graph is parsed and the arrays
are passed to onnxruntime as external initializers, so that it optimizes the file's own graph.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnc.files.mapped_weights import LARGE, InFile, Place, give_back
from cnnc.targets.loaded_module import Runner, threads
from cnnc.targets.onnx_parts import split
from cnnc.targets.onnx_writer import SMALL

if TYPE_CHECKING:
    import numpy as np
    import onnx
    import onnxruntime
    from torch import Tensor

    Array = np.ndarray[Any, np.dtype[Any]]


FATAL = 4  # what is less is reported here, as exceptions or not at all


class LoadedOnnx:
    """An ONNX file; see `loaded_module.Loaded`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _session(self) -> "onnxruntime.InferenceSession":
        return _open(self._path, _without_prepacking() if self._path.stat().st_size >= LARGE else None)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs without an initializer."""
        given = {each.name for each in self._parts[0].graph.initializer}
        return tuple(each.name for each in self._parts[0].graph.input if each.name not in given)

    @property
    def batch(self) -> int | None:
        """The batch size, if the first input has a fixed one."""
        first = next((each for each in self._parts[0].graph.input if each.name in self.inputs), None)
        axes = first.type.tensor_type.shape.dim if first is not None else ()
        return axes[0].dim_value or None if axes else None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the outputs."""
        return tuple(each.name for each in self._parts[0].graph.output)

    def run(self, inputs: "Sequence[Tensor]") -> "list[Array]":
        """Return the outputs of the file as it is."""
        return _runner(self._session)(inputs)

    @cached_property
    def _parts(self) -> "tuple[onnx.ModelProto, InFile]":
        return split(self._path)

    @cached_property
    def _used(self) -> set[str]:
        return _used(self._parts[0].graph)

    def weights(self) -> InFile:
        """Return the float initializers that nodes use; a tool may leave others in the file."""
        return self._parts[1].only(self._used)

    def values(self) -> set[str]:
        """Return the names of all node outputs."""
        return {name for node in self._parts[0].graph.node for name in node.output if name}

    def with_weights(self, weights: "Mapping[str, Array]") -> Runner:
        """Return a runner of the file with other values for these initializers."""
        self.__dict__.pop("_session", None)  # frees the weights that it holds
        if isinstance(weights, InFile):
            give_back()
        return self._with(weights, None)

    def run_values(self, weights: "Mapping[str, Array]", names: Iterable[str]) -> Runner:
        """Return a runner like `with_weights`, with these node values as the outputs."""
        return self._with(weights, names)

    def _with(self, weights: "Mapping[str, Array]", names: Iterable[str] | None) -> Runner:
        """Return a runner with these weights, the file's own for the rest, and its own outputs or these values."""
        import onnx

        model, own = onnx.ModelProto(), self.weights()
        model.CopyFrom(self._parts[0])
        if names is not None:
            del model.graph.output[:]
            model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        small = {name for name in own if name not in weights and own[name].nbytes < SMALL}
        for each in model.graph.initializer:
            if each.name in small:  # a constant, whose value onnxruntime may need
                each.CopyFrom(onnx.TensorProto(name=each.name, data_type=each.data_type, dims=each.dims))
                each.raw_data = own[each.name].tobytes()
        used = self._used - small
        own = own.only(used - weights.keys())
        if isinstance(weights, InFile):
            return _runner(_open_with_files(model, {**own.places, **weights.only(used).places}))
        return _runner(_open_with(model, {**own, **{key: weights[key] for key in weights if key in used}}))


def _used(graph: "onnx.GraphProto") -> set[str]:
    """Return the names of the values that nodes take, also in the bodies of loops and branches."""
    bodies = [body for node in graph.node for each in node.attribute for body in (each.g, *each.graphs)]
    return {name for node in graph.node for name in node.input}.union(*map(_used, bodies))


def _open(model: "Path | bytes", options: "onnxruntime.SessionOptions | None" = None) -> "onnxruntime.InferenceSession":
    import onnxruntime

    options = options or onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.log_severity_level = FATAL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _without_prepacking() -> "onnxruntime.SessionOptions":
    """Return options without prepacking, which would copy the weights for only a run or two."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_prepacking", "1")
    return options


def _open_with(model: "onnx.ModelProto", weights: "Mapping[str, Array]") -> "onnxruntime.InferenceSession":
    import numpy as np
    import onnxruntime

    options = _without_prepacking()
    given = [onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(each)) for each in weights.values()]
    options.add_external_initializers(list(weights), given)
    return _open(model.SerializeToString(), options)


def _open_with_files(model: "onnx.ModelProto", places: Mapping[str, Place]) -> "onnxruntime.InferenceSession":
    """Open a session whose weights are in files of one folder, which onnxruntime memory-maps."""
    import onnx

    (folder,) = {place.path.parent for place in places.values()}
    there = onnx.ModelProto()
    there.CopyFrom(model)
    for tensor in there.graph.initializer:
        if tensor.name in places:
            place = places[tensor.name]
            location = {"location": place.path.name, "offset": place.start, "length": 4 * prod(place.shape)}
            del tensor.external_data[:]
            for key, value in location.items():
                tensor.external_data.add(key=key, value=str(value))
    options = _without_prepacking()
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    return _open(there.SerializeToString(), options)


def _runner(session: "onnxruntime.InferenceSession") -> Runner:
    names = [each.name for each in session.get_inputs()]

    def run(inputs: "Sequence[Tensor]") -> "list[Array]":
        outputs: list[Array] = session.run(None, dict(zip(names, (each.numpy() for each in inputs), strict=True)))
        return outputs

    return run
