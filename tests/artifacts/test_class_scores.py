"""`next: cnnc infer` stands below a build where `infer` takes pictures, and says of which sizes where it matters."""

from contextlib import nullcontext

import pytest
from PIL import Image

import cnnc
from cnnc.artifacts.class_scores import Ranked, ranked
from cnnc.diagnostics import CnncError
from cnnc.inference.predict import infer, load_model


def conv(out, kernel=3, **rest):
    return {"conv": {"out": out, "kernel": kernel, **rest}}


def spec(nodes, shape, **about):
    return {"cnnc": 1, "name": "net", "input": {"image": {"shape": shape, **about}}, "nodes": nodes}


OPEN = [1, None, None]
VALID = [conv(4, 5), {"max_pool": {"kernel": 2}}, conv(4, 5), {"max_pool": {"kernel": 2}}, conv(3, 5)]
PADDED = [conv(4, stride=2, padding=1), conv(4, stride=2, padding=1), conv(3, 1)]
SEGMENTS = [conv(4, padding=1), conv(3, 1)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (spec([*VALID, "global_avg_pool"], OPEN), Ranked()),
        (spec([*VALID, "global_avg_pool", "flatten"], OPEN), Ranked()),
        (spec(VALID, [1, 32, 32]), Ranked()),
        (spec(VALID, [1, 36, 36]), None),
        (spec(VALID, OPEN), Ranked(((32, 32), (35, 35)))),
        (spec(VALID, [1, 33, None]), Ranked(((33, 32), (33, 35)))),
        (spec(VALID, [1, 36, None]), None),
        (spec(VALID, OPEN, resize=[40, 40], crop=35), Ranked()),
        (spec(VALID, OPEN, resize=[40, 40]), None),
        (spec(VALID, OPEN, resize=[8, 8]), None),
        (spec(VALID, OPEN, resize=34), Ranked()),
        (spec(VALID, OPEN, resize=36), None),
        (spec(PADDED, OPEN), Ranked(((1, 1), (4, 4)))),
        (spec(SEGMENTS, OPEN), None),
        (spec(["flatten", {"linear": {"out": 3}}], [2, 4, 4]), None),
    ],
)
def test_which_pictures_are_ranked(given, expected):
    assert ranked(cnnc.load(given)) == expected


@pytest.mark.parametrize(("size", "fine"), [((31, 32), False), ((32, 32), True), ((35, 33), True), ((33, 36), False)])
def test_infer_takes_the_pictures_that_the_line_names(tmp_path, size, fine):
    built = cnnc.build(spec(VALID, OPEN), targets="onnx", out=tmp_path)
    last = built.as_text().splitlines()[-1]
    file = tmp_path / "net" / "net.onnx"
    assert last == f"next: cnnc infer {file} PICTURE  # of 32 × 32 to 35 × 35 pixels, which give one score a class"
    Image.effect_noise((size[1], size[0]), 90).save(tmp_path / "p.png")
    with load_model(file, "cpu") as model:
        if fine:
            assert len(infer(model, tmp_path / "p.png").predictions) == 3
        else:
            with pytest.raises(CnncError, match="E505") if min(size) < 32 else nullcontext():
                assert infer(model, tmp_path / "p.png").outputs["conv_3"].kind == "segmentation"
