"""What cannot be imported is refused in one list, and nothing is written; damaged files end in a diagnostic."""

import os
import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cnnc.compiler import load
from cnnc.diagnostics import CnncError
from cnnc.importing.importer import read, with_blocks
from cnnc.importing.proof import prove
from tests.command import run_command
from tests.onnx_files import model_of, network_of

GOLDEN = Path(__file__).parent / "golden"


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, outputs[0], **attributes)


def saved(model, path):
    path.write_bytes(model.SerializeToString())
    return path


def messages(path, **options):
    with pytest.raises(CnncError) as caught:
        read(path, **options)
    assert {each.code.value for each in caught.value.diagnostics} == {"E411"}
    return [each.message for each in caught.value.diagnostics]


@pytest.mark.parametrize("depth", [20, 1500])
def test_deep_names_of_nodes_do_not_nest(tmp_path, depth):
    names = ["".join(f"/a{level}" for level in range(depth)) + f"/b{at}/Op" for at in range(6)]
    nodes = [helper.make_node("Sigmoid", [f"v{at}"], [f"v{at + 1}"], name) for at, name in enumerate(names)]
    model = network_of(*nodes, inputs={"v0": ("N", 4)}, outputs={"v6": ("N", 4)})
    imported = with_blocks(read(saved(model, tmp_path / "deep.onnx")))
    assert len(load(imported.spec).nodes) == 6


def test_weights_of_another_shape_are_named(tmp_path):
    model = network_of(
        node("LayerNormalization", ["x", "w"], ["y"]),
        inputs={"x": ("N", 4)},
        outputs={"y": ("N", 4)},
        weights={"w": np.ones(1, np.float32)},
    )
    (message,) = messages(saved(model, tmp_path / "net.onnx"))
    assert message.endswith("its weights must have the shape [4] of the axes that it normalises, got [1]")


def test_a_choice_by_element_is_named(tmp_path):
    model = network_of(
        node("Greater", ["x", "k"], ["more"]),
        node("Where", ["more", "x", "x"], ["y"]),
        inputs={"x": ("N", 4)},
        outputs={"y": ("N", 4)},
        weights={"k": np.float32(1)},
    )
    (message,) = messages(saved(model, tmp_path / "net.onnx"))
    assert "it selects elements by a condition, which cnnc has only as part of softplus" in message


def unsupported():
    """A model with three nodes that cnnc has no op for, one of which depends on another."""
    return model_of(
        node("Sin", ["image"], ["sin"]),
        node("Cos", ["sin"], ["cos"]),
        node("Conv", ["image", "w"], ["conv"], kernel_shape=[1, 1], strange=3),
        node("MaxPool", ["conv"], ["pool"], kernel_shape=[2, 2], storage_order=1),
        node("TopK", ["image", "k"], ["values", "indices"]),
        node("Add", ["cos", "values"], ["y"]),
        weights={"w": np.ones((1, 1, 1, 1), np.float32), "k": np.ones(1, np.int64)},
        output=("N", 1, 2, 2),
    )


def test_all_that_cannot_be_imported_is_in_one_list(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(unsupported(), tmp_path / "net.onnx")
    result = run_command("import", "net.onnx")
    assert result.exit_code == 1
    assert not result.stdout
    golden = GOLDEN / "E411-nodes.txt"
    if "UPDATE_GOLDEN" in os.environ:
        golden.write_text(result.stderr, encoding="utf-8")
    assert result.stderr == golden.read_text(encoding="utf-8")
    assert [*tmp_path.iterdir()] == [tmp_path / "net.onnx"]


def relu(**rest):
    return model_of(node("Relu", ["image"], ["y"]), output=("N", 1, 2, 2), **rest)


def test_kinds_of_files_that_are_refused_as_a_whole(tmp_path):
    path = tmp_path / "net.onnx"
    training = relu()
    training.training_info.add()
    quantised = model_of(
        node("QuantizeLinear", ["image", "s"], ["q"]),
        node("DequantizeLinear", ["q", "s"], ["y"]),
        weights={"s": np.float32(0.1)},
        output=("N", 1, 2, 2),
    )
    old, functions = relu(), relu()
    old.opset_import[0].version = 7
    functions.functions.add(name="Own", domain="here")
    for model, words in (
        (training, "it is a training graph"),
        (quantised, "it is quantised to 8 bits: 1 QuantizeLinear, 1 DequantizeLinear"),
        (old, "its opset is 7"),
        (functions, "it has functions of its own (Own)"),
        (relu(kinds=(TensorProto.UINT8, TensorProto.FLOAT)), "its input 'image' is uint8, not float32"),
        (relu(image=("N", "C", 2, 2)), "may be open"),
        (relu(image=("N", 3, 4)), "its input 'image' has 3 axes"),
    ):
        [message] = messages(saved(model, path))
        assert words in message
        assert str(path) in message


def test_control_flow_is_refused_unless_its_condition_is_constant(tmp_path):
    def branch(op):
        out = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
        return helper.make_graph([node(op, ["image"], ["inner"])], "branch", [], [out])

    def model(*before, condition, **weights):
        choice = node("If", [condition], ["y"], then_branch=branch("Relu"), else_branch=branch("Tanh"))
        return model_of(*before, choice, weights=weights, output=("N", 1, 2, 2))

    path = tmp_path / "net.onnx"
    imported = read(saved(model(condition="yes", yes=np.asarray(True)), path))
    assert [next(iter(each)) for each in imported.spec["nodes"]] == ["relu"]
    prove(imported, path)
    [message] = messages(saved(model(node("ReduceSum", ["image"], ["c"], keepdims=0), condition="c"), path))
    assert "reduces the batch" in message
    loop = helper.make_node("Loop", ["", "", "image"], ["y"], body=branch("Relu"))
    assert "control flow: 1 Loop" in messages(saved(model_of(loop, output=("N", 1, 2, 2)), path))[0]


def test_weights_in_another_file_need_a_permission(tmp_path):
    weight = np.arange(4096, dtype=np.float32).reshape(4, 1024)
    model = network_of(
        node("Gemm", ["x", "w"], ["y"], transB=1),
        inputs={"x": ("N", 1024)},
        outputs={"y": ("N", 4)},
        weights={"w": weight},
    )
    path = tmp_path / "net.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    assert "it has weights in another file, 'net.data'" in messages(path)[0]
    imported = read(path, allow_external=True)
    assert np.array_equal(next(iter(imported.weights.values())), weight)
    assert prove(imported, path, allow_external=True).largest < 1e-4
    (tmp_path / "secret").write_bytes(bytes(16384))
    escaping = onnx.load_model(path, load_external_data=False)
    escaping.graph.initializer[0].external_data[0].value = "../../etc/passwd"
    for allow in (False, True):
        with pytest.raises(CnncError):
            read(saved(escaping, path), allow_external=allow)


def test_existing_files_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(relu(), tmp_path / "net.onnx")
    for name in ("net.yaml", "net.safetensors"):
        (tmp_path / name).write_text("mine")
        result = run_command("import", "net.onnx")
        assert result.exit_code == 1
        assert f"cannot write {name}: it exists already" in result.stderr
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    assert run_command("import", "net.onnx", "-o", "missing/folder/net.yaml").exit_code in (0, 1)
    assert run_command("import", "net.onnx", "-o", "net.txt").exit_code == 2
    assert run_command("import", "missing.onnx").exit_code == 1


def test_a_spec_that_computes_something_else_is_not_written(tmp_path, monkeypatch):
    from cnnc.importing import table

    path = saved(
        model_of(
            node("Tanh", ["image"], ["a"]),
            node("Relu", ["a"], ["b"]),
            node("Sigmoid", ["b"], ["y"]),
            output=("N", 1, 2, 2),
        ),
        tmp_path / "net.onnx",
    )
    monkeypatch.setitem(table.ROWS, "Relu", table.ROWS["Abs"])
    monkeypatch.chdir(tmp_path)
    result = run_command("import", "net.onnx", "--flat")
    assert result.exit_code == 1
    assert "E404" in result.stderr
    assert "the first node whose value differs is `b`, 'b' in the file" in result.stderr
    assert [*tmp_path.iterdir()] == [path]


def mutants(data, count, seed=0):
    """Copies of a file with a few bytes changed, cut, or inserted."""
    rng = random.Random(seed)
    for _ in range(count):
        mutant = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(len(mutant))
            kind = rng.random()
            if kind < 0.6:
                mutant[at] = rng.randrange(256)
            elif kind < 0.8:
                del mutant[at : at + rng.randrange(1, 20)]
            else:
                mutant[at:at] = rng.randbytes(rng.randrange(1, 20))
            if not mutant:
                break
        yield bytes(mutant)


def network():
    """A small network with a reshape by sizes, a pool, a norm and a product."""
    rng = np.random.default_rng(0)
    return model_of(
        node("Conv", ["image", "c"], ["conv"], kernel_shape=[1, 1], pads=[0, 0, 0, 0]),
        node("BatchNormalization", ["conv", "s", "s", "s", "s"], ["bn"], epsilon=1e-3),
        node("MaxPool", ["bn"], ["pool"], kernel_shape=[2, 2], strides=[1, 1], pads=[0, 0, 1, 1]),
        node("Shape", ["pool"], ["shape"]),
        node("Gather", ["shape", "zero"], ["batch"], axis=0),
        node("Concat", ["batch", "rest"], ["wanted"], axis=0),
        node("Reshape", ["pool", "wanted"], ["flat"]),
        node("MatMul", ["flat", "m"], ["product"]),
        node("Add", ["product", "b"], ["y"]),
        weights={
            "c": rng.standard_normal((2, 1, 1, 1)).astype(np.float32),
            "s": np.ones(2, np.float32),
            "zero": np.zeros(1, np.int64),
            "rest": np.asarray([-1], np.int64),
            "m": rng.standard_normal((8, 3)).astype(np.float32),
            "b": rng.standard_normal(3).astype(np.float32),
        },
    )


def outcome(data, path):
    """What an import of these bytes comes to: the codes of its errors, or `ok`. Any other exception is a bug."""
    path.write_bytes(data)
    try:
        read(path)
    except CnncError as error:
        return {each.code.value for each in error.diagnostics}
    return "ok"


def test_damaged_files_end_in_a_diagnostic(tmp_path):
    data = network().SerializeToString()
    assert outcome(data, tmp_path / "net.onnx") == "ok"
    found = [outcome(each, tmp_path / "net.onnx") for each in mutants(data, int(os.environ.get("MUTANTS", "150")))]
    assert {"ok"} < {str(each) if each == "ok" else "refused" for each in found}


def test_a_constant_that_would_fill_the_memory_is_refused(tmp_path):
    huge = numpy_helper.from_array(np.asarray([2**20, 2**20], np.int64), "shape")
    model = model_of(
        node("ConstantOfShape", ["shape"], ["big"]), node("Add", ["image", "big"], ["y"]), output=("N", 1, 2, 2)
    )
    model.graph.initializer.append(huge)
    assert "with it, the computed constants have more than" in messages(saved(model, tmp_path / "net.onnx"))[0]


def test_weights_in_another_file_that_are_too_large_for_a_copy_are_not_loaded(tmp_path, monkeypatch):
    from cnnc.importing import proof

    model = network_of(
        node("Gemm", ["x", "w"], ["y"], transB=1),
        inputs={"x": ("N", 1024)},
        outputs={"y": ("N", 4)},
        weights={"w": np.ones((4, 1024), np.float32)},
    )
    path = tmp_path / "net.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    imported = read(path, allow_external=True)
    assert prove(imported, path, allow_external=True).nodes == 1
    monkeypatch.setattr(proof, "LARGEST_COPY", 8192)
    assert prove(imported, path, allow_external=True).nodes == 0
