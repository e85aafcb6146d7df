"""What the tests of this room write into their own folder: ONNX files and pictures."""

import pytest
from onnx import helper
from PIL import Image

from cnnc.runtime.contract import CONTRACT


@pytest.fixture
def save(tmp_path):
    def write(model, about=None, name="m.onnx"):
        if about is not None:
            helper.set_model_props(model, {CONTRACT: about if isinstance(about, str) else about.to_json()})
        path = tmp_path / name
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        return path

    return write


@pytest.fixture
def picture(tmp_path):
    def write(colour=255, size=(2, 2), mode="L", name="p.png"):
        Image.new(mode, size, colour).save(tmp_path / name)
        return tmp_path / name

    return write
