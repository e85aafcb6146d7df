"""Networks whose height and width are open, all the way: check, build, the contract in the file, and `cnnc infer`."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import cnnc
from cnnc.artifacts.contract import CONTRACT
from cnnc.diagnostics import CnncError
from cnnc.inference.predict import infer, load_model
from tests.command import run_command
from tests.live import live


def conv(out, kernel=3, **rest):
    return {"conv": {"out": out, "kernel": kernel, "padding": kernel // 2, **rest}}


FULLY_CONVOLUTIONAL = [
    conv(4, 5, padding=0, stride=2, act="relu"),
    {"max_pool": {"kernel": 2}},
    conv(3, 1),
    "global_avg_pool",
]
U_NET = [
    conv(4, name="left0", act="relu"),
    {"max_pool": {"name": "p0", "kernel": 2}},
    conv(4, name="left1", act="relu"),
    {"max_pool": {"name": "p1", "kernel": 2}},
    conv(4, name="bottom", act="relu"),
    {"conv_transpose": {"name": "up1", "out": 4, "kernel": 2, "stride": 2}},
    {"concat": {"name": "join1", "from": ["up1", "left1"]}},
    {"upsample": {"name": "up0", "factor": 2, "mode": "bilinear"}},
    {"concat": {"name": "join0", "from": ["up0", "left0"]}},
    conv(3, name="scores"),
    "global_max_pool",
    "flatten",
]
ODD = [
    {"conv": {"name": "down", "out": 2, "kernel": [3, 1], "stride": [2, 4]}},
    {"conv_transpose": {"name": "up", "out": 1, "kernel": [3, 1], "stride": [2, 4]}},
    {"add": {"from": ["up", "image"]}},
    "global_avg_pool",
]


def spec(nodes, height=None, width=None, channels=1):
    return {"cnnc": 1, "name": "net", "input": {"image": [channels, height, width]}, "nodes": nodes}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The built folder of a network, by its name."""
    networks = {"fully": FULLY_CONVOLUTIONAL, "u_net": U_NET, "odd": ODD}
    folder = tmp_path_factory.mktemp("open")
    found = {}
    for name, nodes in networks.items():
        network = {**spec(nodes), "name": name}
        weights = folder / f"{name}.safetensors"
        save_file(live(cnnc.load(network)).state_dict(), weights)
        built = cnnc.build(network, targets=["onnx", "torchscript", "pt2"], weights=weights, out=folder)
        found[name] = built.folder
    return found


def contract(folder):
    model = onnx.load(folder / f"{folder.name}.onnx")
    return json.loads(next(each.value for each in model.metadata_props if each.key == CONTRACT))["input"]


def test_contracts_say_what_fits(built):
    about = {name: contract(folder) for name, folder in built.items()}
    keys = ("shape", "smallest", "divisor", "remainders")
    assert [about["fully"][key] for key in keys] == [[1, None, None], [7, 7], 1, None]
    assert [about["u_net"][key] for key in keys] == [[1, None, None], [4, 4], 4, None]
    assert [about["odd"][key] for key in keys] == [[1, None, None], [3, 1], [2, 4], [[1], [1]]]


@pytest.mark.parametrize(
    ("name", "size", "problem"),
    [
        ("fully", (7, 7), None),
        ("fully", (64, 9), None),
        ("fully", (6, 40), "at least 7 × 7"),
        ("fully", (40, 6), "at least 7 × 7"),
        ("u_net", (4, 4), None),
        ("u_net", (12, 36), None),
        ("u_net", (14, 36), "multiples of 4"),
        ("u_net", (12, 3), "at least 4 × 4"),
        ("odd", (3, 1), None),
        ("odd", (9, 13), None),
        ("odd", (8, 13), "a height that leaves 1 when divided by 2"),
        ("odd", (9, 12), "a width that leaves 1 when divided by 4"),
    ],
)
def test_infer_holds_pictures_against_the_contract(built, tmp_path, name, size, problem):
    height, width = size
    Image.effect_noise((width, height), 90).save(tmp_path / "p.png")
    with load_model(built[name] / f"{name}.onnx", "cpu") as model:
        if problem is None:
            found = infer(model, tmp_path / "p.png", top_k=3)
            assert sum(each.score for each in found.predictions) == pytest.approx(1 if name != "odd" else 0.5, abs=0.5)
            return
        with pytest.raises(CnncError) as caught:
            infer(model, tmp_path / "p.png")
    [fault] = caught.value.diagnostics
    told = f"the prepared picture is {height} × {width} (height × width), the network takes {problem}"
    assert (fault.code.value, told in fault.message) == ("E505", True)


@pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated")
@pytest.mark.parametrize(("name", "sizes"), [("fully", [(7, 50), (33, 8)]), ("u_net", [(8, 20), (36, 4)]),
                                             ("odd", [(5, 9), (31, 1)])])  # fmt: skip
def test_files_take_batches_of_any_size_that_fits(built, name, sizes):
    folder = built[name]
    session = onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
    scripted = torch.jit.load(folder / f"{name}.pt")
    assert session.get_inputs()[0].shape[0] != 1
    assert not any(isinstance(side, int) for side in session.get_inputs()[0].shape[2:])
    for batch, (height, width) in enumerate(sizes, 1):
        x = np.random.default_rng(0).standard_normal((batch, 1, height, width), np.float32)
        [ours] = session.run(None, {"image": x})
        np.testing.assert_allclose(ours, scripted(torch.from_numpy(x)).detach(), rtol=1e-3, atol=1e-5)


def test_one_open_side(tmp_path):
    nodes = [{"max_pool": {"kernel": 4}}, {"upsample": {"factor": 4}}, {"add": {"from": ["upsample", "image"]}},
             "global_avg_pool"]  # fmt: skip
    folder = cnnc.build(spec(nodes, height=20), targets=["onnx"], out=tmp_path).folder
    about = contract(folder)
    assert (about["shape"], about["smallest"], about["divisor"]) == ([1, 20, None], [20, 4], [1, 4])


SINGLE = [
    {"upsample": {"size": 7}},
    {"conv": {"from": "image", "name": "b", "out": 1, "kernel": 3, "stride": 4, "padding": 1}},
    {"concat": {"from": ["upsample", "b"]}},
    "global_avg_pool",
]
POSITIONS = [conv(3, stride=2), "instance_norm", "global_max_pool"]
HALVED, TURNED = {"max_pool": {"from": "a", "kernel": 2}}, {"permute": {"from": "a", "axes": [0, 2, 1]}}
LARGE = [conv(1, stride=2), {"max_pool": {"kernel": [600, 1]}}, "global_avg_pool"]


@pytest.mark.parametrize(
    ("nodes", "about", "fits", "misfits"),
    [
        (SINGLE, {"others": [[25, 26, 27, 28]] * 2, "remainders": [[], []]}, [(25, 28), (28, 26)],
         [((24, 25), "a height of 25, 26, 27 or 28"), ((25, 29), "a width of 25, 26, 27 or 28")]),
        (POSITIONS, {"smallest": [1, 1], "either": [3, 3]}, [(1, 3), (3, 1), (2, 9)],
         [((2, 2), "a height of at least 3 or a width of at least 3")]),
        (LARGE, {"smallest": [1199, 1]}, [(1199, 1)], [((1198, 5), "at least 1199 × 1")]),
    ],
    ids=["single sizes", "one position", "large"],
)  # fmt: skip
def test_what_fits_but_by_no_simple_rule(tmp_path, nodes, about, fits, misfits):
    """The files take what the contract says, which `cnnc infer` tells of a picture that does not fit."""
    folder = cnnc.build(spec(nodes), targets=["onnx", "torchscript", "pt2"], out=tmp_path).folder
    found = contract(folder)
    assert {key: found[key] for key in about} == about
    with load_model(folder / "net.onnx", "cpu") as model:
        for size in fits:
            Image.effect_noise(size[::-1], 90).save(tmp_path / "p.png")
            assert infer(model, tmp_path / "p.png").predictions
        for size, problem in misfits:
            Image.effect_noise(size[::-1], 90).save(tmp_path / "p.png")
            with pytest.raises(CnncError, match=f"the network takes {problem}"):
                infer(model, tmp_path / "p.png")


@pytest.mark.parametrize(
    ("inputs", "nodes"),
    [
        ({"a": [1, None, None], "b": [1, None, 12]}, [{"concat": {"from": ["a", "b"]}}]),
        ({"a": [1, None, None], "b": [1, None, None]}, [HALVED, {"add": {"from": ["max_pool", "b"]}}]),
        ({"a": [1, None, 8], "b": [1, 6, None]}, [{"add": {"from": ["a", "b"]}}]),
        ({"a": [1, None, None], "b": [1, None, None]}, [TURNED, {"add": {"from": ["permute", "b"]}}]),
    ],
    ids=["a width alone", "half the size", "each knows a side", "the other way round"],
)  # fmt: skip
def test_several_inputs_are_built(tmp_path, inputs, nodes):
    built = cnnc.build({"cnnc": 1, "name": "net", "inputs": inputs, "nodes": nodes}, targets=["onnx"], out=tmp_path)
    assert (built.folder / "net.onnx").exists()


def test_check_says_it_first(tmp_path):
    path = tmp_path / "net.json"
    path.write_text(json.dumps(spec(U_NET)))
    done = run_command("check", path)
    assert done.stdout.splitlines()[-1] == "height and width: multiples of 4 from 4 up"
