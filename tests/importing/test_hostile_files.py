"""Files that would read other files, fill the memory, or share weights that differ."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from cnnc.importing import constant_budget
from cnnc.importing.importer import read
from cnnc.importing.proof import prove
from tests.importing.test_refusals import messages, node, saved
from tests.onnx_files import model_of, network_of


def external():
    tensor = TensorProto(name="k", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="secret.bin")
    return tensor


def branches(nodes, initializers=()):
    """A model whose If has these nodes in both branches."""
    out = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "branch", [], [out], [*initializers])
    choice = node("If", ["yes"], ["y"], then_branch=graph, else_branch=graph)
    return model_of(choice, output=("N", 1, 2, 2), weights={"yes": np.asarray(True)})


def test_constants_in_other_files_are_refused_wherever_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(bytes(8))
    constant, add = node("Constant", [], ["k"], value=external()), node("Add", ["image", "k"], ["inner"])
    plain = model_of(constant, node("Add", ["image", "k"], ["y"]), output=("N", 1, 2, 2))
    for model in (plain, branches([constant, add]), branches([add], [external()])):
        path = saved(model, tmp_path / "net.onnx")
        for allow in (False, True):
            [message] = messages(path, allow_external=allow)
            assert "has a constant in another file" in message


def big(op, *inputs, **attributes):
    return node(op, inputs, ["big"], **attributes)


@pytest.mark.parametrize(
    "nodes",
    [
        [big("Add", "column", "row")],
        [big("MatMul", "column", "row")],
        [big("Expand", "row", "shape")],
        [big("Where", "truth", "column", "row")],
        [big("Gather", "row", "many", axis=0)],
        [node("ConstantOfShape", ["part"], [f"p{k}"]) for k in range(4)],
        [node("ConstantOfShape", ["part"], ["p"]), big("Concat", "p", "p", "p", axis=0)],
    ],
    ids=lambda nodes: nodes[-1].op_type,
)
def test_constants_have_a_limit_for_all_of_them_together(nodes, tmp_path, monkeypatch):
    monkeypatch.setattr(constant_budget, "MOST", 2**22)
    weights = {
        "column": np.zeros((30000, 1), np.float32),
        "row": np.zeros((1, 30000), np.float32),
        "shape": np.array([30000, 1]),
        "truth": np.ones((1, 30000), bool),
        "many": np.zeros(30000, np.int64),
        "part": np.array([2**20 + 2**19]),
    }
    model = model_of(*nodes, node("Relu", ["image"], ["y"]), output=("N", 1, 2, 2), weights=weights)
    assert "with it, the computed constants have more than" in messages(saved(model, tmp_path / "net.onnx"))[0]


def test_weights_are_shared_only_if_they_are_equal(tmp_path):
    path, weight = tmp_path / "net.onnx", np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)
    first = node("Gemm", ["x", "w"], ["a"], transB=1)
    for attributes, shared in (({"transB": 1}, True), ({}, False), ({"transB": 1, "alpha": 2.0}, False)):
        second = node("Gemm", ["r", "w"], ["y"], **attributes)
        nodes = (first, node("Relu", ["a"], ["r"]), second)
        model = network_of(*nodes, inputs={"x": ("N", 4)}, outputs={"y": ("N", 4)}, weights={"w": weight})
        imported = read(saved(model, path))
        prove(imported, path)
        assert ("share" in imported.spec["nodes"][-1]["linear"]) == shared


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("Softmax", {"axis": 9}),
        ("ReduceMean", {"axes": [-9]}),
        ("ReduceL2", {"axes": [9]}),
        ("LayerNormalization", {"axis": 5}),
        ("Gather", {"axis": 9}),
        ("Split", {"axis": 9, "num_outputs": 1}),
    ],
)
def test_axes_out_of_range_are_refused(op, attributes, tmp_path):
    second = {"LayerNormalization": "scale", "Gather": "place"}.get(op)
    model = network_of(
        node(op, ["x", *([second] if second else [])], ["y"], **attributes),
        inputs={"x": ("N", 4)},
        outputs={"y": ("N", 4)},
        weights={"scale": np.ones(4, np.float32), "place": np.array([0, 1])},
    )
    model.opset_import[0].version = 18 if op in ("Softmax", "Gather", "Split", "LayerNormalization") else 13
    assert "out of range" in messages(saved(model, tmp_path / "net.onnx"))[0]
