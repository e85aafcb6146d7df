"""The ONNX file: names are spec paths, types are proved, opsets 17 to 26 pass ONNX's own strict checks."""

import json
from hashlib import sha256

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from cnnc.compiler import build, load
from cnnc.diagnostics import CnncError, Code
from cnnc.files import onnx_seal
from cnnc.graph.graph import Output, Ref
from cnnc.targets import onnx_writer
from cnnc.targets.choices import OPSETS
from cnnc.targets.onnx_model import emit, lower, require_exportable
from cnnc.targets.onnx_parts import split
from cnnc.targets.onnx_writer import chunks, write
from cnnc.targets.torch_module import lower as lower_torch
from tests.networks import forked, open_size, residual


def export(graph, opset=20, **arguments):
    weights = {key: tensor.numpy() for key, tensor in lower_torch(graph).state_dict().items()}
    return lower(graph, weights, opset, **arguments), weights


def dims(value):
    return [each.dim_param or each.dim_value or None for each in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("network", [residual, forked, open_size])
def test_it_passes_the_strict_checks(network, opset):
    model, _ = export(network(), opset)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    assert model.ir_version <= 13
    assert model.producer_name == "cnnc"


def test_names_are_paths_and_initializers_are_keys():
    graph = residual()
    model, weights = export(graph)
    assert {node.path for node in graph.nodes} <= {node.name for node in model.graph.node}
    found = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    for key in weights.keys() - {key for key in weights if key.endswith("num_batches_tracked")}:
        np.testing.assert_array_equal(found[key], weights[key])


def test_names_are_unique_and_auxiliary_nodes_stand_below_their_path():
    model, _ = export(forked())
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    values = [name for node in model.graph.node for name in node.output]
    assert len(set(values)) == len(values)


def test_the_batch_is_dynamic_and_so_are_open_sizes():
    assert dims(export(residual())[0].graph.input[0]) == ["batch", 2, 9, 11]
    model, _ = export(open_size())
    assert dims(model.graph.input[0]) == ["batch", 1, "height", "width"]
    assert dims(model.graph.output[0])[0] == "batch"


def test_outputs_have_the_graphs_names_even_those_of_other_nodes():
    graph = load(
        {
            "cnnc": 1,
            "name": "n",
            "input": {"image": [1, 2, 2]},
            "nodes": [{"relu": {"name": "a"}}, {"tanh": {"name": "b"}}],
            "outputs": {"c": "b", "a": "b", "b": "a"},
        }
    )
    model, _ = export(graph)
    onnx.checker.check_model(model, full_check=True)
    assert [each.name for each in model.graph.output] == ["c", "a", "b"]
    assert [node.name for node in model.graph.node] == ["a", "b", "a/Identity"]
    session = run(model)
    x = np.array([[[[-1, 0], [1, 2]]]], np.float32)
    c, a, b = session.run(None, {"image": x})
    np.testing.assert_allclose(b, np.maximum(x, 0))
    np.testing.assert_allclose(a, np.tanh(np.maximum(x, 0)), rtol=1e-6)
    np.testing.assert_array_equal(a, c)


def run(model):
    import onnxruntime

    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def test_metadata_is_written():
    model, _ = export(residual(), metadata={"cnnc.spec": "{}"})
    assert {each.key: each.value for each in model.metadata_props} == {"cnnc.spec": "{}"}


def test_the_same_network_gives_the_same_bytes():
    assert export(residual())[0].SerializeToString() == export(residual())[0].SerializeToString()


@pytest.mark.parametrize("opset", [16, 27, 999])
def test_other_opsets_are_refused(opset):
    with pytest.raises(CnncError) as caught:
        require_exportable(residual(), opset)
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == Code.NOT_EXPORTABLE
    assert str(opset) in diagnostic.message


def test_an_output_that_is_called_like_an_input_is_refused():
    from dataclasses import replace

    graph = replace(residual(), outputs=(Output("image", Ref("head")),))
    with pytest.raises(CnncError, match="both an input and an output"):
        require_exportable(graph, 20)


@pytest.mark.parametrize("network", [residual, forked, open_size])
def test_the_file_written_piece_by_piece_is_the_model(network, tmp_path):
    graph = network()
    model, weights = export(graph, metadata={"key": "value"})
    emitted = emit(graph, weights, 20, {"key": "value"})
    assert write(tmp_path / "m.onnx", emitted.model, emitted.initializers) == [tmp_path / "m.onnx"]
    found = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(found, full_check=True)
    assert found.metadata_props[0].key == onnx_seal.KEY
    del found.metadata_props[0]
    assert found == model
    assert found.metadata_props[0].value == "value"


def test_weights_beyond_two_gigabytes_lie_in_a_file_beside_the_model(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_writer, "LARGEST", 2**20 + 3000)  # a megabyte is for what is no weight
    monkeypatch.setattr(onnx_writer, "SMALL", 2**8)  # of this network several are as large
    graph = residual()
    model, weights = export(graph)
    emitted = emit(graph, weights)
    files = write(tmp_path / "m.onnx", emitted.model, emitted.initializers)
    assert files == [tmp_path / "m.onnx", tmp_path / "m.onnx.data"]
    alone = onnx.load(files[0], load_external_data=False)
    parts = [each for each in alone.graph.initializer if each.data_location == onnx.TensorProto.EXTERNAL]
    offsets = [int(entry.value) for each in parts for entry in each.external_data if entry.key == "offset"]
    assert [offset % 65_536 for offset in offsets] == [0] * len(parts)  # as Windows maps files
    assert len(parts) > 1
    beside = {each.name for each in parts}
    assert beside == {name for name, array in emitted.initializers.items() if array.nbytes >= onnx_writer.SMALL}
    assert beside
    onnx.checker.check_model(files[0], full_check=True)
    found = onnx.load(files[0])
    said = json.loads(found.metadata_props[1].value)
    assert said == {"name": "m.onnx.data", "sha256": sha256(files[1].read_bytes()).hexdigest()}
    del found.metadata_props[:]
    for one in found.graph.initializer:
        one.ClearField("data_location")
    assert found == model
    assert {key: array.tolist() for key, array in split(files[0])[1].items()} == {
        key: array.tolist() for key, array in emitted.initializers.items() if array.dtype == "f4" and array.shape
    }


def test_a_field_longer_than_127_bytes_has_its_length_in_several():
    weights = {"w": np.arange(70_000, dtype="<f4").reshape(7, 100, 100), "scalar": np.asarray(3, "<i8")}
    written = b"".join(chunks(onnx.ModelProto(graph=onnx.GraphProto(name="some")), weights))
    found = {
        each.name: onnx.numpy_helper.to_array(each) for each in onnx.ModelProto.FromString(written).graph.initializer
    }
    assert found.keys() == weights.keys()
    for key, array in weights.items():
        np.testing.assert_array_equal(found[key], array)


@pytest.mark.parametrize("outputs", ["p", {"p": "relu", "r": "p"}, {"r": "relu", "q": "gone", "p": "p"}])
def test_an_output_may_have_the_name_of_a_parameter(tmp_path, outputs):
    nodes = [{"relu": {}}, {"parameter": {"name": "p", "shape": [2], "init": 3}}]
    spec = {"cnnc": 1, "name": "net", "input": {"x": [2]}, "nodes": nodes, "outputs": outputs}
    if outputs == "p":
        del nodes[0]
    if "q" in outputs:
        nodes.append({"identity": {"name": "gone"}})  # two outputs then have the same value
    built = build(spec, out=tmp_path, targets=["onnx"])
    model = onnx.load(built.folder / "net.onnx")
    assert [each.name for each in model.graph.initializer if each.data_type == onnx.TensorProto.FLOAT] == ["p.weight"]


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [{"factor": 2}, {"size": [12, 5]}, {"like": "other"}])
def test_a_resized_map_between_transposes(tmp_path, mode, size):
    # onnxruntime moves the Transpose of the norm past the Resize, to meet the other one
    inputs = {name: [3, None, None] for name in ("image", *size.values()) if isinstance(name, str)}
    nodes = [{"layer_norm": {"from": "image"}}, {"upsample": {"mode": mode, **size}}, {"permute": {"axes": [0, 2, 1]}}]
    spec = {"cnnc": 1, "name": "net", "inputs": inputs, "nodes": nodes}
    for opset in (17, 18):
        assert build(spec, out=tmp_path, targets=["onnx"], opset=opset).folder.is_dir()


@pytest.mark.parametrize("size", [1, 3])
def test_a_local_response_norm_beside_a_channel_of_much_larger_values(size):
    nodes = [{"local_response_norm": {"size": size}}]
    graph = load({"cnnc": 1, "name": "net", "input": {"image": [6, 2, 2]}, "nodes": nodes})
    model, _ = export(graph)
    run = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run
    image = np.float32([0.1, 1e8, 0.2, 0.3, 0.4, 0.5]).reshape(1, 6, 1, 1) * np.ones((1, 1, 2, 2), np.float32)
    [found] = run(None, {"image": image})
    assert np.allclose(found, lower_torch(graph)(torch.from_numpy(image)).numpy(), rtol=1e-5, atol=0)
