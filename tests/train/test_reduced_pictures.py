"""JPEGs are decoded at a reduced scale to train, if they are large enough; what comes out differs as filters do."""

import numpy as np
import pytest
import torch
from PIL import Image

from cnnc.data import examples
from cnnc.data import folder as picture_folder
from cnnc.data.dataset import Files
from cnnc.data.pictures import open_picture
from cnnc.data.preprocess import Preprocess
from cnnc.graph.graph import Input, Picture
from cnnc.ops.types import TensorType
from cnnc.train.streamed import Pictures
from tests.train.conftest import spec


def photograph(width, height):
    """Shades with some noise."""
    random = np.random.default_rng(0)
    shades = Image.fromarray(random.integers(0, 256, (4, 5, 3), np.uint8)).resize((width, height))
    noise = random.integers(-12, 13, (height, width, 3))
    return Image.fromarray((np.asarray(shades) + noise).clip(0, 255).astype(np.uint8))


def read(path, picture, channels=3):
    """The pixels of the file, decoded whole and at a reduced scale."""
    make = Preprocess(Input("image", TensorType((channels, None, None)), picture))
    files = Files((path,), np.zeros(1, np.int64))
    return [Pictures(files, make, reduced)[0][0] for reduced in (False, True)]


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize(
    ("shape", "mode"),
    [({"resize": (40, 30)}, "rgb"), ({"resize": 86, "crop": (80, 80)}, "bgr"), ({"resize": (20, 20)}, "grey")],
)
def test_a_reduced_picture_is_nearly_the_whole_one(tmp_path, orientation, shape, mode):
    exif = Image.Exif()
    exif[0x0112] = orientation
    photograph(333, 251).save(tmp_path / "p.jpg", exif=exif, quality=90)
    whole, reduced = read(tmp_path / "p.jpg", Picture(mode, (), (), **shape), 1 if mode == "grey" else 3)
    assert whole.shape == reduced.shape
    assert not torch.equal(whole, reduced)
    assert (whole.float() - reduced.float()).abs().mean() < 2


@pytest.mark.parametrize(("name", "side"), [("p.jpg", 101), ("p.png", 40)])
def test_a_picture_that_is_not_large_enough_or_no_jpeg_is_read_whole(tmp_path, name, side):
    photograph(330, 250).save(tmp_path / name)  # 250 / 2 is less than 1.25 * 101
    whole, reduced = read(tmp_path / name, Picture("rgb", (), (), (side, side)))
    assert torch.equal(whole, reduced)


def test_the_scale_is_the_smallest_with_a_margin(tmp_path):
    photograph(800, 640).save(tmp_path / "p.jpg")
    sizes = {side: open_picture(tmp_path / "p.jpg", lambda *_, side=side: (side, side)).image.height for side in
             (64, 65, 128, 129, 256, 257)}  # fmt: skip
    assert sizes == {64: 80, 65: 160, 128: 160, 129: 320, 256: 320, 257: 640}
    assert open_picture(tmp_path / "p.jpg", lambda *_: (64, 64)).size == (640, 800)


def test_only_training_reads_reduced_pictures(tmp_path, trained, monkeypatch):
    for part in ("train", "test"):
        for label in range(4):
            (tmp_path / "files" / part / str(label)).mkdir(parents=True)
            photograph(60, 60 + label).save(tmp_path / "files" / part / str(label) / "p.jpg")
    found = set()

    def noted(path, needed=None):
        found.add((path.parts[-3], needed is not None))
        return open_picture(path, needed)

    monkeypatch.setattr(examples, "open_picture", noted)
    monkeypatch.setattr(picture_folder, "IN_MEMORY", 0)
    trained(spec(epochs=1, batch=4, workers=0), data=str(tmp_path / "files"))
    assert found == {("train", True), ("test", False)}
