"""Pictures of every mode and kind come out as the array that their look promises, and bad ones as diagnostics."""

import os
import struct
import warnings
import zlib
from contextlib import suppress

import numpy as np
import PIL
import pytest
from PIL import Image

from cnnc.artifacts.contract import InputContract
from cnnc.data.pictures import MAX_PIXELS, open_picture, prepare
from cnnc.diagnostics import CnncError, Code


def contract(*shape, mode="grey", **rest):
    return InputContract(name="image", shape=shape, mode=mode, **rest)


GREY = contract(1, None, None)
RGB = contract(3, None, None, mode="rgb")


def array(path, to):
    return prepare(open_picture(path), to)


def code_of(path, to=RGB):
    with pytest.raises(CnncError) as caught:
        array(path, to)
    (diagnostic,) = caught.value.diagnostics
    return diagnostic.code, f"{diagnostic.message} {diagnostic.help}"


def left_dark_right_bright(dtype, top):
    values = np.zeros((4, 6), dtype)
    values[:, 3:] = top
    return values


def save(tmp_path, picture, name, **options):
    picture.save(tmp_path / name, **options)
    return tmp_path / name


HALVES = Image.fromarray(left_dark_right_bright(np.uint8, 200))


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "gif", "tiff", "jpg"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_formats_and_modes_show_the_same(tmp_path, suffix, mode):
    shown = HALVES.point(lambda value: 255 if value else 0)
    path = save(tmp_path, shown.convert(mode if (suffix, mode) != ("jpg", "P") else "L"), f"p.{suffix}")
    for to in (GREY, RGB):
        found = array(path, to)
        assert found.shape == (to.shape[0], 4, 6)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[0], left_dark_right_bright(np.float32, 1), atol=0.1)


@pytest.mark.parametrize(("mode", "suffix"), [("CMYK", "tiff"), ("CMYK", "jpg"), ("YCbCr", "tiff"), ("YCbCr", "jpg")])
def test_colour_spaces(tmp_path, mode, suffix):
    if (mode, suffix) == ("YCbCr", "tiff") and int(PIL.__version__.partition(".")[0]) < 13:
        pytest.skip("Pillow cannot read its own YCbCr TIFF before 13")
    red = Image.new("RGB", (16, 16), (255, 0, 0)).convert(mode)
    np.testing.assert_allclose(array(save(tmp_path, red, f"p.{suffix}"), RGB)[:, 8, 8], [1, 0, 0], atol=0.02)


def test_grey_is_itu_r_601_luma(tmp_path):
    path = save(tmp_path, Image.new("RGB", (2, 2), (255, 0, 0)), "p.png")
    assert array(path, GREY)[0, 0, 0] == pytest.approx(0.299, abs=1 / 255)


@pytest.mark.parametrize(("suffix", "dtype"), [("png", "<u2"), ("tiff", "<u2"), ("tiff", ">u2")])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, suffix, dtype):
    path = save(tmp_path, Image.fromarray(left_dark_right_bright(dtype, 30000)), f"p.{suffix}")
    for to in (GREY, RGB):
        np.testing.assert_allclose(array(path, to)[0], left_dark_right_bright(np.float32, 30000 / 65535), atol=1 / 255)


def test_sixteen_bits_are_rounded_to_the_nearest_of_256(tmp_path):
    values = np.arange(0, 65536, 13, dtype=np.uint16)[None]
    found = open_picture(save(tmp_path, Image.fromarray(values), "p.png"))
    np.testing.assert_array_equal(np.asarray(found.image), np.rint(values / 257))


@pytest.mark.parametrize(
    ("dtype", "top", "taken"), [("f4", 0.5, 1), ("f4", 100, 255), ("i4", 100, 255), ("i4", 9999, 65535)]
)
def test_wide_values_are_read_by_the_documented_rule(tmp_path, dtype, top, taken):
    path = save(tmp_path, Image.fromarray(left_dark_right_bright(dtype, top)), "p.tiff")
    assert any(f"0..{taken}" in note for note in open_picture(path).notes)
    np.testing.assert_allclose(array(path, GREY)[0], left_dark_right_bright(np.float32, top / taken), atol=1 / 255)


@pytest.mark.parametrize(
    ("dtype", "top"), [("f4", 256), ("f4", -1), ("f4", np.nan), ("f4", np.inf), ("i4", 65536), ("i4", -1)]
)
def test_wide_values_outside_the_rule_are_refused(tmp_path, dtype, top):
    path = save(tmp_path, Image.fromarray(left_dark_right_bright(dtype, top)), "p.tiff")
    code, text = code_of(path)
    assert code == Code.PICTURE_UNREADABLE
    assert "its values are in" in text


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_laid_over_white(tmp_path, mode):
    picture = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (0, 0, 2, 4))
    path = save(tmp_path, picture.convert(mode), "p.png")
    found = array(path, GREY)[0]
    assert [found[0, 0], found[0, 3]] == [0, 1]
    assert "transparent parts shown on white" in open_picture(path).notes


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_a_transparent_colour_is_white(tmp_path, mode):
    picture = Image.new(mode, (4, 4))
    path = save(tmp_path, picture, "p.png", transparency=(0, 0, 0) if mode == "RGB" else 0)
    assert array(path, GREY).min() == 1


def test_an_opaque_alpha_is_not_worth_a_note(tmp_path):
    assert open_picture(save(tmp_path, Image.new("RGBA", (2, 2), "red"), "p.png")).notes == ()


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", "jpg"), ("RGB", "png"), ("I;16", "tiff"), ("P", "png"), ("LA", "webp"), ("L", "tiff"), ("RGBA", "tiff")],
)
def test_exif_orientation_turns_the_picture(tmp_path, mode, suffix):
    values = np.zeros((6, 8), np.uint16)
    values[:3] = 65535
    picture = Image.fromarray(values) if mode == "I;16" else Image.fromarray((values >> 8).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the file is the right of the picture
    path = save(tmp_path, picture if mode == "I;16" else picture.convert(mode), f"p.{suffix}", exif=exif)
    turned = np.repeat([[0, 0, 0, 1, 1, 1]], 8, axis=0)
    np.testing.assert_allclose(array(path, GREY)[0], turned, atol=0.02)
    assert open_picture(path).notes == ("oriented by its EXIF data",)


@pytest.mark.parametrize("orientation", [0, 1, 9])
def test_an_orientation_that_turns_nothing_is_not_worth_a_note(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path, HALVES, "p.jpg", exif=exif)
    assert open_picture(path).notes == ()
    assert open_picture(path).image.size == HALVES.size


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tiff"])
def test_the_first_of_several_frames(tmp_path, suffix):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("white", "black", "red")]
    path = save(tmp_path, frames[0], f"p.{suffix}", save_all=True, append_images=frames[1:])
    assert array(path, GREY).min() > 0.95
    assert open_picture(path).notes == ("the first of 3 frames",)


def test_the_content_decides_not_the_name(tmp_path):
    path = save(tmp_path, HALVES, "p.png")
    path.rename(tmp_path / "p.jpg")
    assert open_picture(tmp_path / "p.jpg").image.size == (6, 4)


def a_folder(path):
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "no such file"),
        (a_folder, "it is a folder"),
        (os.mkfifo if hasattr(os, "mkfifo") else a_folder, "it is a"),
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_text("not a picture\n" * 50), "its format is unknown"),
        (lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "PNG, JPEG, WebP"),
        (lambda path: HALVES.save(path, "PPM"), "PNG, JPEG, WebP"),
    ],
)
def test_what_is_no_picture(tmp_path, make, says):
    make(tmp_path / "p.png")
    code, text = code_of(tmp_path / "p.png")
    assert code == Code.PICTURE_UNREADABLE
    assert says in text


def test_a_path_with_a_null_byte():
    assert code_of("p\0.png")[0] == Code.PICTURE_UNREADABLE


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif", "tiff"])
def test_damaged_files_are_diagnostics_and_nothing_else(tmp_path, suffix, capfd):
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    whole = save(tmp_path, Image.fromarray(noise), f"p.{suffix}").read_bytes()
    damaged = tmp_path / f"d.{suffix}"
    damaged.write_bytes(whole[: len(whole) // 2])
    assert code_of(damaged)[0] == Code.PICTURE_UNREADABLE
    rng = np.random.default_rng(1)
    for _ in range(150):
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), 400), 3):
            data[place] = rng.integers(0, 256)
        damaged.write_bytes(data)
        with suppress(CnncError):  # nothing else may come out; many of the damaged are pictures still
            array(damaged, contract(3, 8, 8, mode="rgb"))
    assert capfd.readouterr() == ("", "")


def a_png_that_announces(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [8001, 12000, 2**20])
def test_the_cap_is_checked_before_decoding(tmp_path, side):
    path = tmp_path / "p.png"
    path.write_bytes(a_png_that_announces(side, side))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code, text = code_of(path)
    assert code == Code.PICTURE_TOO_LARGE
    assert f"{MAX_PIXELS:,}" in text


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1)])
def test_odd_sizes_are_resized(tmp_path, size):
    path = save(tmp_path, Image.new("L", size, 255), "p.png")
    assert array(path, contract(1, 28, 28)).shape == (1, 28, 28)
    assert array(path, contract(1, 28, 28, resize=(30, 30), crop=(28, 28))).min() == 1


def test_a_shorter_side_of_an_absurd_picture_is_capped(tmp_path):
    code, text = code_of(save(tmp_path, Image.new("L", (1, 20000)), "p.png"), contract(1, None, None, resize=256))
    assert code == Code.PICTURE_TOO_LARGE
    assert "256 × 5,120,000" in text


def test_the_shorter_side_keeps_the_aspect_and_the_crop_is_the_centre(tmp_path):
    values = np.zeros((100, 201), np.uint8)
    values[:, 80:120] = 255
    path = save(tmp_path, Image.fromarray(values), "p.png")
    assert array(path, contract(1, None, None, resize=50)).shape == (1, 50, 100)
    cropped = array(path, contract(1, 40, 10, resize=50, crop=(40, 10)))
    assert cropped.shape == (1, 40, 10)
    assert cropped.min() == 1


def test_resizing_is_pillows_antialiased_bilinear(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    path = save(tmp_path, Image.fromarray(noise), "p.png")
    wanted = np.asarray(Image.fromarray(noise).resize((28, 20), Image.Resampling.BILINEAR), np.float32) / 255
    np.testing.assert_array_equal(array(path, contract(1, 20, 28))[0], wanted)


@pytest.mark.parametrize("mode", ["grey", "rgb", "bgr"])
@pytest.mark.parametrize("scale", [1, 255])
@pytest.mark.parametrize("seed", range(5))
def test_every_value_has_the_bits_of_the_definition(tmp_path, mode, scale, seed):
    random = np.random.default_rng(seed)
    channels = 1 if mode == "grey" else 3
    mean = tuple((random.uniform(-1, 1, channels) * scale).tolist())
    std = tuple((random.uniform(0.01, 1, channels) * scale).tolist())
    values = np.stack([random.permutation(256) for _ in range(channels)], -1).astype(np.uint8).reshape(16, 16, channels)
    Image.fromarray(values.squeeze()).save(tmp_path / "p.png")
    found = array(tmp_path / "p.png", contract(channels, None, None, mode=mode, mean=mean, std=std, scale=scale))
    assert found.flags.c_contiguous
    seen = values[..., ::-1] if mode == "bgr" else values
    for place, value in np.ndenumerate(seen.transpose(2, 0, 1)):
        number = np.float32(value) / np.float32(255) if scale == 1 else np.float32(value)
        wanted = (number - np.float32(mean[place[0]])) / np.float32(std[place[0]])
        assert found[place].tobytes() == wanted.tobytes()


def test_mean_and_std_are_applied_by_channel(tmp_path):
    path = save(tmp_path, Image.new("RGB", (2, 2), (255, 0, 51)), "p.png")
    found = array(path, contract(3, None, None, mode="rgb", mean=(0.5, 0.5, 0.2), std=(0.25, 0.5, 1)))
    np.testing.assert_allclose(found[:, 0, 0], [2, -1, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("to", "says"),
    [
        (contract(1, 28, 28, resize=32), "takes 28 × 28"),
        (contract(1, 28, None), "takes 28 × any"),
        (contract(1, None, None, smallest=(40, 63)), "at least 40 × 63"),
        (contract(1, None, None, divisor=32), "multiples of 32"),
        (contract(1, 64, 64, crop=(64, 64)), "smaller than the centre crop of 64 × 64"),
    ],
)
def test_a_picture_that_does_not_fit_is_said_before_the_run(tmp_path, to, says):
    code, text = code_of(save(tmp_path, Image.new("L", (60, 40)), "p.png"), to)
    assert code == Code.PICTURE_MISFIT
    assert says in text
    assert "resize" in text


def test_an_input_that_is_no_picture(tmp_path):
    path = save(tmp_path, HALVES, "p.png")
    assert code_of(path, InputContract(name="x", shape=(10,), mode=None))[0] == Code.MODEL_UNSUITED
