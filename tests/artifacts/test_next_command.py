"""The line below a build: what to type for a network's inputs and outputs, and that it works."""

import shlex

import numpy as np
import pytest
from PIL import Image

import cnnc
from tests.command import run_command

CLASSES = ["flatten", {"linear": {"name": "last", "out": 3}}]
MAP = [{"conv": {"name": "last", "out": 3, "kernel": 1}}]
ONE = {"image": [3, 8, 8]}
TWO = {"left": [3, 8, 8], "right": [3, 8, 8]}
WITH_AGE = {"age": [3], "image": [3, 8, 8]}
ADD = {"add": {"from": ["left", "right"]}}


@pytest.mark.parametrize(
    ("inputs", "nodes", "kind", "expected"),
    [
        (ONE, CLASSES, None, "PICTURE"),
        (ONE, CLASSES, "probabilities", "PICTURE"),
        (ONE, CLASSES, "vector", "PICTURE --save FOLDER"),
        (ONE, MAP, None, "PICTURE --save FOLDER"),
        (ONE, MAP, "picture", "PICTURE --save FOLDER"),
        (TWO, [ADD, *CLASSES], None, "PICTURE --input right=FILE"),
        (
            WITH_AGE,
            [*CLASSES[:1], {"linear": {"out": 3}}, {"add": {"name": "last", "from": ["linear", "age"]}}],
            None,
            "PICTURE --input age=FILE",
        ),
        ({"noise": [4, 2, 2]}, MAP, "picture", "--input noise=FILE --save FOLDER"),
        ({"image": [3, None, None]}, MAP, None, "PICTURE --save FOLDER"),
    ],
)
def test_the_next_command_fits_the_network_and_works(tmp_path, inputs, nodes, kind, expected):
    nodes = [{"flatten": {"from": "image"}}, *nodes[1:]] if inputs is WITH_AGE else nodes
    outputs = {"y": {"from": "last", "as": kind}} if kind else "last"
    spec = {"cnnc": 1, "name": "net", "inputs": inputs, "nodes": nodes, "outputs": outputs}
    built = cnnc.build(spec, targets="onnx", out=tmp_path)
    last = built.as_text().splitlines()[-1]
    assert last == f"next: cnnc infer {tmp_path / 'net' / 'net.onnx'} {expected}"
    Image.effect_noise((8, 8), 90).save(tmp_path / "p.png")
    shape = inputs.get("noise") or inputs.get("age") or inputs.get("right")
    if shape:
        np.save(tmp_path / "f.npy", np.ones(shape, np.float32))
    real = {"PICTURE": f"{tmp_path}/p.png", "FOLDER": f"{tmp_path}/out"}
    words = [real.get(each, each.replace("=FILE", f"={tmp_path}/f.npy")) for each in shlex.split(last)[3:]]
    done = run_command("infer", *words, "--provider", "cpu")
    assert (done.exit_code, done.stderr) == (0, "")
    assert (tmp_path / "out").exists() == ("FOLDER" in expected)


def test_without_an_onnx_file_there_is_none(tmp_path):
    spec = {"cnnc": 1, "name": "net", "input": ONE, "nodes": CLASSES}
    assert "next:" not in cnnc.build(spec, targets="python", out=tmp_path).as_text()
