"""`cnnc verify`: files as `build` wrote them, rewritten ones, and ones that compute something else."""

import json
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

import cnnc
from cnnc.cli import guarded
from cnnc.cli.app import answer
from cnnc.targets.registry import TABLE
from cnnc.verification.live_weights import enliven
from tests.command import run_command
from tests.thorough import thorough

SPEC = """cnnc: 1
name: net
input: {image: [3, 16, 16]}
outputs: {scores: linear, aux: {from: conv, only: train}}
nodes:
  - conv: {out: 8, kernel: 3, padding: 1, bias: false}
  - batch_norm
  - relu
  - max_pool: {kernel: 3, stride: 2, padding: 1}
  - flatten
  - linear: {out: 5}
"""
HERE = pytest.mark.usefixtures("no_child")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify")
    (folder / "net.yaml").write_text(SPEC)
    module = cnnc.compile(folder / "net.yaml").eval()
    enliven(module, [torch.randn(4, 3, 16, 16)], 0, 1.5)
    save_file(module.state_dict(), folder / "net.safetensors")
    cnnc.build(folder / "net.yaml", targets=list(TABLE), weights=folder / "net.safetensors", out=folder)
    return folder


@pytest.fixture
def call(capfd):
    """A command: its exit code, and what it says on stdout and stderr."""

    def call(*words):
        code = answer([str(word) for word in words])
        said = capfd.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def verify(call, built):
    weights = ("--weights", built / "net.safetensors")
    return lambda model, *more: call("verify", built / "net.yaml", model, *weights, *more)


def require_verified(verify, model):
    code, out, _ = verify(model)
    assert code == 0
    assert out.startswith(f"{model}: within ")
    assert "sensitivity" in out


@HERE
@pytest.mark.parametrize("target", TABLE)
def test_what_build_wrote_is_verified(verify, built, target):
    require_verified(verify, built / "net" / f"net.{TABLE[target].ending}")


@pytest.mark.parametrize("target", ["onnx", pytest.param("torchscript", marks=thorough)])
def test_what_build_wrote_is_verified_in_a_process_of_its_own(verify, built, target):
    require_verified(verify, built / "net" / f"net.{TABLE[target].ending}")


@HERE
def test_a_file_that_another_tool_has_optimised_is_verified(verify, built, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fast.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(built / "net" / "net.onnx", options, providers=["CPUExecutionProvider"])
    assert verify(tmp_path / "fast.onnx")[0] == 0


@HERE
def test_a_file_that_another_tool_has_broken_is_refused_at_its_node(verify, built, tmp_path):
    model = onnx.load(built / "net" / "net.onnx")
    pool = next(node for node in model.graph.node if node.op_type == "MaxPool")
    next(each for each in pool.attribute if each.name == "pads").ints[:] = [0, 1, 2, 1]
    onnx.save(model, tmp_path / "broken.onnx")
    code, _, err = verify(tmp_path / "broken.onnx")
    assert code == 1
    assert "`max_pool` (max_pool) is the first node that differs" in err
    assert "the tool that wrote it has changed what it computes" in err


@HERE
def test_a_file_that_names_its_inputs_or_outputs_otherwise_is_refused(call, tmp_path):
    nodes = [{"conv": {"name": "one", "from": "a", "out": 2, "kernel": 3}}]
    nodes += [{"conv": {"name": "two", "from": "b", "out": 2, "kernel": 3}}, {"add": {"from": ["one", "two"]}}]
    spec = {"cnnc": 1, "name": "net", "inputs": {"a": [2, 6, 6], "b": [2, 6, 6]}, "nodes": nodes}
    (tmp_path / "net.yaml").write_text(json.dumps(spec))
    cnnc.build(spec, targets="onnx", out=tmp_path)

    def verify_renamed(names):
        model = onnx.load(tmp_path / "net" / "net.onnx")
        for node in model.graph.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
        for value in (*model.graph.input, *model.graph.output):
            value.name = names.get(value.name, value.name)
        onnx.save(model, tmp_path / "renamed.onnx")
        code, _, err = call("verify", tmp_path / "net.yaml", tmp_path / "renamed.onnx")
        return code, err

    assert verify_renamed({}) == (0, "")
    for names, told in [
        ({"a": "b", "b": "a"}, "its inputs are `b`, `a`, expected `a`, `b`"),
        ({"b": "c"}, "its inputs are `a`, `c`, expected `a`, `b`"),
        ({"add": "sum"}, "its outputs are `sum`, expected `add`"),
    ]:
        code, err = verify_renamed(names)
        assert code == 1
        assert told in err


@HERE
def test_a_file_with_outputs_of_another_type_is_refused(verify, built, tmp_path):
    model = onnx.load(built / "net" / "net.onnx")
    last = model.graph.node[-1]
    last.output[0] = "single"
    model.graph.node.append(onnx.helper.make_node("Cast", ["single"], ["scores"], to=onnx.TensorProto.DOUBLE))
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    onnx.save(model, tmp_path / "double.onnx")
    code, _, err = verify(tmp_path / "double.onnx")
    assert code == 1
    assert "`scores` is float64, expected float32" in err


@HERE
@pytest.mark.parametrize("target", [name for name in TABLE if name not in ("python", "spec")])  # these have none
def test_a_file_of_other_weights_is_refused(call, built, target):
    code, _, err = call("verify", built / "net.yaml", built / "net" / f"net.{TABLE[target].ending}", "--seed", 3)
    assert code == 1
    assert "E404" in err


@HERE
def test_a_file_that_is_not_there_or_of_no_target_is_refused(verify, built):
    assert "E501" in verify(built / "none.onnx")[2]
    assert "one of the extensions .onnx, .pt, .pt2, .py" in verify(built / "net.yaml")[2]


def test_a_map_without_weights_is_a_wrong_call(call, built):
    assert call("verify", built / "net.yaml", built / "net" / "net.onnx", "--map", "map.yaml")[0] == 2


def after_image(built, *nodes, **initializers):
    """The built network with nodes between its input and the rest, which take `image` and give `given`."""
    model = onnx.load(built / "net" / "net.onnx")
    for node in model.graph.node:
        node.input[:] = ["given" if name == "image" else name for name in node.input]
    rest = [*model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
    model.graph.initializer.extend(onnx.numpy_helper.from_array(each, name) for name, each in initializers.items())
    return model


def test_the_time_limit_is_enough_for_a_large_network_on_a_busy_machine():
    assert "[default: 600.0]" in run_command("verify", "--help").stdout


@thorough
def test_an_endless_loop_is_stopped(verify, built, tmp_path):
    helper, kinds = onnx.helper, onnx.TensorProto
    value = helper.make_tensor_value_info
    same = [helper.make_node("Identity", [f"{name}_in"], [f"{name}_out"]) for name in ("go", "x")]
    body = helper.make_graph(
        same,
        "body",
        [value("at", kinds.INT64, []), value("go_in", kinds.BOOL, []), value("x_in", kinds.FLOAT, None)],
        [value("go_out", kinds.BOOL, []), value("x_out", kinds.FLOAT, None)],
    )
    loop = helper.make_node("Loop", ["", "always", "image"], ["given"], body=body)
    onnx.save(after_image(built, loop, always=np.array(True)), tmp_path / "loop.onnx")
    code, out, err = verify(tmp_path / "loop.onnx", "--timeout", 1)
    assert (code, out) == (1, "")
    assert f"error[E507]: {tmp_path}/loop.onnx: stopped after 1 s of loading and running the file" in err


@thorough
@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_a_file_that_kills_its_process_is_named(verify, built, tmp_path):
    text = (built / "net" / "net.py").read_text()
    (tmp_path / "crash.py").write_text(text + "\n\nimport os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    code, out, err = verify(tmp_path / "crash.py")
    assert (code, out) == (1, "")
    assert f"error[E507]: {tmp_path}/crash.py: the process that runs the file was killed by signal 11" in err


@thorough
def test_a_file_that_ends_its_process_is_not_verified(verify, built, tmp_path):
    text = (built / "net" / "net.py").read_text()
    (tmp_path / "exit.py").write_text(f"{text}\n\nimport os\nos._exit(0)\n")
    code, out, err = verify(tmp_path / "exit.py")
    assert (code, out) == (1, "")
    assert "the process that runs the file ended with status 0, without a result" in err


@pytest.mark.parametrize("last", ["", "within 0 of torch", "0", "1", "2"])
@pytest.mark.parametrize("status", [0, 1, 2])
def test_only_a_child_that_says_its_exit_code_has_a_result(verify, built, monkeypatch, status, last):
    def start(module, command, options, **pipes):
        return subprocess.Popen([sys.executable, "-c", f"print('\\n{last}'); raise SystemExit({status})"], **pipes)

    monkeypatch.setattr(guarded, "start", start)
    code, out, err = verify(built / "net" / "net.py")
    assert (code, out) == ((1, "") if last != str(status) else (status, ""))
    told = f"the process that runs the file ended with status {status}, without a result"
    assert (told in err) == (last != str(status))


@HERE
@pytest.mark.parametrize("status", [0, 1, 2])
def test_a_file_that_raises_an_exit_is_not_verified(verify, built, tmp_path, status):
    text = (built / "net" / "net.py").read_text()
    (tmp_path / "exit.py").write_text(f"{text}\n\nraise SystemExit({status})\n")
    code, out, err = verify(tmp_path / "exit.py")
    assert (code, out) == (1, "")
    assert "the python file does not match the spec: it cannot be run: SystemExit" in err


def with_copies(built, change=lambda array: array):
    """The built model with its weights as copies of other names, and the original ones left over."""
    model = onnx.load(built / "net" / "net.onnx")
    for tensor in [*model.graph.initializer]:
        copy = onnx.numpy_helper.from_array(change(onnx.numpy_helper.to_array(tensor)), f"{tensor.name}_copy")
        model.graph.initializer.append(copy)
    for node in model.graph.node:
        node.input[:] = [node.input[0], *(f"{name}_copy" for name in node.input[1:])]
    return model


@HERE
def test_weights_that_a_tool_left_over_do_not_count(verify, built, tmp_path):
    onnx.save(with_copies(built), tmp_path / "copies.onnx")
    code, out, err = verify(tmp_path / "copies.onnx")
    assert (code, err) == (0, "")
    assert "sensitivity" in out
    onnx.save(with_copies(built, lambda array: 1.01 * array), tmp_path / "wrong.onnx")
    code, _, err = verify(tmp_path / "wrong.onnx")
    assert code == 1
    assert err.startswith("error[E404]")


@HERE
def test_weights_that_only_the_body_of_a_branch_uses_are_read(verify, built, tmp_path):
    helper, kinds = onnx.helper, onnx.TensorProto
    value = helper.make_tensor_value_info("plus", kinds.FLOAT, None)
    body = helper.make_graph([helper.make_node("Add", ["image", "zeros"], ["plus"])], "body", [], [value])
    branch = helper.make_node("If", ["always"], ["given"], then_branch=body, else_branch=body)
    zeros = np.zeros((3, 16, 16), np.float32)
    onnx.save(after_image(built, branch, always=np.array(True), zeros=zeros), tmp_path / "branch.onnx")
    assert verify(tmp_path / "branch.onnx")[::2] == (0, "")
