"""Weights out of ONNX files: of other exporters, with matrices turned round, and never from outside their folder."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import cnnc
from cnnc.diagnostics import CnncError, Code
from cnnc.targets.torch_module import lower, shapes
from cnnc.weights.load import checkpoint, read
from cnnc.weights.proposal import propose

HEAD = ["flatten", {"linear": {"name": "fc1", "out": 6}}, "relu", {"linear": {"name": "fc2", "out": 6}}]


def network(*nodes):
    return cnnc.load({"cnnc": 1, "name": "net", "input": {"image": [2, 4, 4]}, "nodes": list(nodes)})


PLAIN = network({"conv": {"name": "conv", "out": 3, "kernel": 3}}, *HEAD)
NORMED = network({"conv": {"name": "conv", "out": 3, "kernel": 3}}, {"batch_norm": {"name": "norm"}}, "relu", *HEAD)


def random_state(graph):
    state = lower(graph).state_dict()
    return {key: torch.rand_like(each) if each.is_floating_point() else each for key, each in state.items()}


def save(path, nodes, arrays, output, size=6):
    initializers = [numpy_helper.from_array(np.asarray(each, np.float32), name) for name, each in arrays.items()]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 2, 4, 4])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", size])],
        initializers,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), path)
    return path


def foreign(state, **changes):
    """The nodes and arrays of PLAIN as a foreign exporter may write them: nameless, MatMul and Gemm untransposed."""
    arrays = {
        "onnx::Conv_1": state["conv.weight"],
        "onnx::Conv_2": state["conv.bias"],
        "val_3": state["fc1.weight"].T,
        "val_4": state["fc1.bias"],
        "val_5": state["fc2.weight"].T,
        "val_6": state["fc2.bias"],
        **changes,
    }
    nodes = [
        helper.make_node("Conv", ["image", "onnx::Conv_1", "onnx::Conv_2"], ["c"], "first"),
        helper.make_node("Flatten", ["c"], ["f"]),
        helper.make_node("MatMul", ["f", "val_3"], ["m"], "second"),
        helper.make_node("Add", ["val_4", "m"], ["a"]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Gemm", ["r", "val_5", "val_6"], ["out"], "third"),
    ]
    return nodes, arrays


def through_a_map(path, graph):
    """The weights of the file by the map that is proposed for them."""
    found = checkpoint(path, shapes(graph))
    proposed = propose(graph, shapes(graph), found.layers, ordered=found.ordered)
    assert proposed.undecided == ()
    place = path.with_suffix(".yaml")
    place.write_text(proposed.as_yaml("a map"), encoding="utf-8")
    return read(path, shapes(graph), place)


def same(found, state):
    return found.keys() == state.keys() and all(torch.equal(found[key], state[key]) for key in state)


def test_nameless_initializers_are_mapped_and_matrices_turned_round(tmp_path):
    state = random_state(PLAIN)
    assert same(through_a_map(save(tmp_path / "m.onnx", *foreign(state), "out"), PLAIN), state)


def test_an_initializer_under_another_name_is_the_same(tmp_path):
    state = random_state(PLAIN)
    nodes, arrays = foreign(state)
    nodes[0].input[1] = "other"
    nodes[-1].input[1] = "turned"
    arrays["val_5"] = state["fc2.weight"]
    nodes = [
        helper.make_node("Identity", ["onnx::Conv_1"], ["other"]),
        helper.make_node("Transpose", ["val_5"], ["turned"], perm=[1, 0]),
        *nodes,
    ]
    assert same(through_a_map(save(tmp_path / "m.onnx", nodes, arrays, "out"), PLAIN), state)


def test_equal_tensors_that_an_exporter_stores_once_are_several_weights(tmp_path):
    state = random_state(PLAIN)
    state["fc2.bias"] = state["fc1.bias"].clone()
    nodes, arrays = foreign(state)
    nodes[-1].input[2] = "val_4"
    del arrays["val_6"]
    assert same(through_a_map(save(tmp_path / "m.onnx", nodes, arrays, "out"), PLAIN), state)


def test_a_matrix_that_is_used_both_ways_is_refused(tmp_path):
    state = random_state(PLAIN)
    nodes, arrays = foreign(state)
    nodes[-1] = helper.make_node("Gemm", ["r", "val_5", "val_6"], ["x"], transB=1)
    nodes.append(helper.make_node("MatMul", ["x", "val_5"], ["out"]))
    with pytest.raises(CnncError, match="both transposed and untransposed"):
        checkpoint(save(tmp_path / "m.onnx", nodes, arrays, "out"), shapes(PLAIN))


def test_a_product_with_factors_is_no_layer(tmp_path):
    state = random_state(PLAIN)
    nodes, arrays = foreign(state)
    nodes[-1].attribute.append(helper.make_attribute("alpha", 2.0))
    found = checkpoint(save(tmp_path / "m.onnx", nodes, arrays, "out"), shapes(PLAIN))
    assert [each.name for each in found.layers] == ["first", "second"]


def test_a_file_of_cnnc_is_read_by_name(tmp_path):
    cnnc.build(_plain_data(), targets=["onnx"], out=tmp_path, seed=3)
    written = read(tmp_path / "net/net.onnx", shapes(PLAIN))
    assert same(written, dict(lower(PLAIN, seed=3).state_dict()))


def _plain_data():
    nodes = [{"conv": {"name": "conv", "out": 3, "kernel": 3}}, *HEAD]
    return {"cnnc": 1, "name": "net", "input": {"image": [2, 4, 4]}, "nodes": nodes}


def test_folded_batch_norms_cannot_be_mapped(tmp_path):
    state = random_state(PLAIN)
    path = save(tmp_path / "m.onnx", *foreign(state), "out")
    with pytest.raises(CnncError) as caught:
        read(path, shapes(NORMED))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == Code.WEIGHTS_MISMATCH
    assert "has 0 batch norms, the network 1" in diagnostic.message
    assert "optimize=False" in diagnostic.help


def test_torch_s_exporter_keeps_batch_norms_where_it_is_told_to(tmp_path):
    state = random_state(NORMED)
    module = lower(NORMED, state).eval()
    path = tmp_path / "m.onnx"
    torch.onnx.export(module, (torch.zeros(1, 2, 4, 4),), path, dynamo=True, optimize=False, verbose=False)
    found = through_a_map(path, NORMED)
    assert same(found, state)


def test_data_beside_the_file_is_read(tmp_path):
    state = random_state(PLAIN)
    path = save(tmp_path / "m.onnx", *foreign(state), "out")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="m.data", size_threshold=0)
    assert (tmp_path / "m.data").exists()
    assert same(through_a_map(path, PLAIN), state)


def test_data_beside_the_file_needs_no_length(tmp_path):
    state = random_state(PLAIN)
    path = save(tmp_path / "m.onnx", *foreign(state), "out")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="m.data", size_threshold=0)
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        tensor.external_data.remove(next(each for each in tensor.external_data if each.key == "length"))
    path.write_bytes(model.SerializeToString())
    assert same(through_a_map(path, PLAIN), state)


@pytest.mark.parametrize("by", [-4, 4])
def test_a_tensor_with_more_or_less_data_than_its_shape_needs_is_refused(tmp_path, by):
    path = save(tmp_path / "m.onnx", *foreign(random_state(PLAIN)), "out")
    model = onnx.load(path)
    data = model.graph.initializer[0].raw_data
    model.graph.initializer[0].raw_data = data + b"\0" * by if by > 0 else data[:by]
    path.write_bytes(model.SerializeToString())
    refused(path)


def test_a_number_without_an_end_takes_no_time(tmp_path):
    path: Path = tmp_path / "m.onnx"
    path.write_bytes(b"\x08" + b"\xff" * 10**7)  # once, the work grew with the square of the length
    refused(path)


@pytest.mark.parametrize("way", ["outside", "link", "missing"])
def test_data_from_elsewhere_is_not(tmp_path, way):
    (tmp_path / "in").mkdir()
    path = save(tmp_path / "in/m.onnx", *foreign(random_state(PLAIN)), "out")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="m.data", size_threshold=0)
    if way == "missing":
        (tmp_path / "in/m.data").unlink()
    elif way == "link":
        (tmp_path / "in/m.data").rename(tmp_path / "secret")
        (tmp_path / "in/m.data").symlink_to(tmp_path / "secret")
    else:
        (tmp_path / "in/m.data").rename(tmp_path / "secret")
        model = onnx.load(path, load_external_data=False)
        for tensor in model.graph.initializer:
            tensor.external_data[0].value = "../secret"
        path.write_bytes(model.SerializeToString())
    refused(path)


@pytest.mark.parametrize("data", [b"", b"hello, world", b"\x08", bytes(64)])
def test_what_is_no_onnx_file_is_unreadable_or_has_no_weights(tmp_path, data):
    path: Path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(CnncError) as caught:
        read(path, shapes(PLAIN))
    assert {each.code for each in caught.value.diagnostics} <= {Code.WEIGHTS_UNREADABLE, Code.WEIGHTS_MISMATCH}


def refused(path):
    with pytest.raises(CnncError) as caught:
        checkpoint(path, shapes(PLAIN))
    assert [each.code for each in caught.value.diagnostics] == [Code.WEIGHTS_UNREADABLE]
