"""Files whose import looks right at one size, or by the names of its ops alone: they are refused, or not proved."""

import numpy as np
import pytest

from cnnc.compiler import load
from cnnc.diagnostics import CnncError
from cnnc.importing.importer import read
from cnnc.importing.proof import prove
from cnnc.targets.sample_inputs import spaces
from tests.importing.test_refusals import messages, node, saved
from tests.onnx_files import model_of, network_of

pytestmark = pytest.mark.usefixtures("in_this_process")

INDICES = {"zero": np.array([0]), "two": np.array([2]), "four": np.array([4])}
WEIGHT = np.random.default_rng(0).standard_normal((2, 3, 3, 3)).astype(np.float32)
CONV = node("Conv", ["image", "w"], ["conv"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])


def resized(*sizes, source="conv", **attributes):
    """A resize of a map to sizes that nodes compute as `size` from the height and width `space` of the convolution."""
    return model_of(
        CONV,
        node("MaxPool", ["conv"], ["pool"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Shape", ["conv"], ["shape"]),
        node("Slice", ["shape", "two", "four"], ["space"]),
        node("Slice", ["shape", "zero", "two"], ["lead"]),
        *sizes,
        node("Concat", ["lead", "size"], ["sizes"], axis=0),
        node("Resize", [source, "", "", "sizes"], ["y"], **attributes),
        image=("N", 3, "H", "W"),
        output=("N", 2, None, None),
        weights={"w": WEIGHT, **INDICES, "half": np.array([0.5], np.float32), "real": np.array([2], np.float32)},
    )


def real(*nodes):
    """Nodes between casts of `space` to float32 (`wide`), and of `exact` to int64 (`part`)."""
    return (node("Cast", ["space"], ["wide"], to=1), *nodes, node("Cast", ["exact"], ["part"], to=7))


DOUBLED = node("Mul", ["part", "two"], ["size"])


@pytest.mark.parametrize(
    "sizes",
    [
        (node("Div", ["space", "two"], ["part"]), DOUBLED),
        (*real(node("Mul", ["wide", "half"], ["exact"])), DOUBLED),
        (*real(node("Div", ["wide", "real"], ["even"]), node("Floor", ["even"], ["exact"])), DOUBLED),
        (*real(node("Div", ["wide", "real"], ["even"]), node("Ceil", ["even"], ["exact"])), DOUBLED),
        (*real(node("Div", ["wide", "real"], ["even"]), node("Round", ["even"], ["exact"])), DOUBLED),
    ],
)
def test_a_size_that_is_rounded_is_not_the_size_itself(sizes, tmp_path):
    path = saved(resized(*sizes, mode="linear"), tmp_path / "net.onnx")
    assert "depend on an open height or width" in messages(path)[0]


def test_a_size_that_is_divided_without_a_rest_is_exact(tmp_path):
    exact = real(node("Div", ["wide", "real"], ["even"]), node("Mul", ["even", "real"], ["exact"]))
    for sizes in ((node("Mul", ["space", "two"], ["a"]), node("Div", ["a", "two"], ["part"])), exact):
        model = resized(*sizes, node("Mul", ["part", "two"], ["size"]), mode="linear")
        imported = read(saved(model, tmp_path / "net.onnx"))
        assert imported.spec["nodes"][-1]["upsample"]["factor"] == 2
        prove(imported, tmp_path / "net.onnx")


USUAL = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
SAME = node("Identity", ["space"], ["size"])


def test_nearest_resizes_to_another_map_take_the_rows_that_torch_takes(tmp_path):
    path = tmp_path / "net.onnx"
    prove(read(saved(resized(SAME, source="pool", mode="nearest", **USUAL), path)), path)
    other = {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_floor"}
    for attributes in ({}, other, {**USUAL, "nearest_mode": "ceil"}):
        [message] = messages(saved(resized(SAME, source="pool", mode="nearest", **attributes), path))
        assert "takes other rows than `upsample`" in message


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("where", ["asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners"])
@pytest.mark.parametrize("rounding", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
def test_nearest_resizes_by_a_factor_agree_or_are_refused(factor, where, rounding, tmp_path):
    attributes = {"coordinate_transformation_mode": where, "nearest_mode": rounding, "mode": "nearest"}
    model = model_of(
        node("Resize", ["image", "", "scales"], ["y"], **attributes),
        image=("N", 1, 5, 7),
        output=("N", 1, 5 * factor, 7 * factor),
        weights={"scales": np.array([1, 1, factor, factor], np.float32)},
    )
    path = saved(model, tmp_path / "net.onnx")
    taken = {("asymmetric", "floor")}
    taken |= {
        (where, f"round_prefer_{side}") for where in ("half_pixel", "pytorch_half_pixel") for side in ("floor", "ceil")
    }
    if factor == 2:
        taken.add(("asymmetric", "round_prefer_floor"))
    if factor == 1 or (where, rounding) in taken:
        prove(read(path), path)
    else:
        assert "takes other rows" in messages(path)[0]


def test_all_sizes_are_compared(tmp_path, monkeypatch):
    from cnnc.importing import table

    source = model_of(
        CONV,
        node("MaxPool", ["conv"], ["pool"], kernel_shape=[1, 1], strides=[2, 2]),
        node(
            "Resize",
            ["pool", "", "scales"],
            ["y"],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        image=("N", 3, "H", "W"),
        output=("N", 2, None, None),
        weights={"w": WEIGHT, "scales": np.array([1, 1, 2, 2], np.float32)},
    )
    path = saved(source, tmp_path / "net.onnx")
    prove(read(path), path)
    monkeypatch.setitem(table.ROWS, "Resize", table.ImportRow(_like, table.ROWS["Resize"].attributes))
    imported = read(path)
    assert len(spaces(load(imported.spec))) > 1
    with pytest.raises(CnncError, match="does not compute what"):
        prove(imported, path)


def _like(net, given):
    """Import a resize to the size of the map before the pool, which is wrong for odd sizes."""
    x = given.value()
    return net.add("upsample", [x], like=x.made.inputs[0])


def chosen(*nodes, **weights):
    return network_of(
        *nodes,
        node("Add", ["chosen", "a"], ["y"]),
        inputs={"a": ("N", 4), "b": ("N", 4)},
        outputs={"y": ("N", 4)},
        weights={"limit": np.float32(20), "beta": np.float32(0.1), **weights},
    )


def test_a_softplus_is_one_only_if_its_own_input_is_compared(tmp_path):
    path = tmp_path / "net.onnx"
    soft = node("Softplus", ["b"], ["soft"])
    where = node("Where", ["large", "b", "soft"], ["chosen"])
    for compared, words in (("a", "selects elements by a condition"), ("b", None)):
        model = chosen(node("Greater", [compared, "limit"], ["large"]), soft, where)
        saved(model, path)
        if words:
            assert words in messages(path)[0]
        else:
            assert [*read(path).spec["nodes"][0]] == ["softplus"]
    scaled = (node("Mul", ["b", "beta"], ["c"]), node("Softplus", ["c"], ["d"]), node("Div", ["d", "beta"], ["soft"]))
    for compared, right in (("c", True), ("b", False)):
        saved(chosen(*scaled, node("Greater", [compared, "limit"], ["large"]), where), path)
        if right:
            assert read(path).spec["nodes"][0]["softplus"]["beta"] == pytest.approx(0.1)
        else:
            assert "selects elements by a condition" in messages(path)[0]


def test_a_constant_output_is_no_proof_if_no_other_value_can_be_compared(tmp_path, monkeypatch):
    from cnnc.importing import proof

    model = model_of(
        node("Sigmoid", ["image"], ["s"]),
        node("Clip", ["s", "two"], ["y"]),
        output=("N", 1, 2, 2),
        weights={"two": np.float32(2)},
    )
    path = saved(model, tmp_path / "net.onnx")
    imported = read(path)
    assert prove(imported, path).nodes
    monkeypatch.setattr(proof, "LARGEST_COPY", 0)
    with pytest.raises(CnncError, match="nothing is proved"):
        prove(imported, path)


def test_operations_on_a_size_do_not_fill_the_memory(tmp_path):
    twice = [node("Mul", [f"m{k}", f"m{k}"], [f"m{k + 1}"]) for k in range(24)]
    first = (node("Shape", ["image"], ["shape"]), node("Gather", ["shape", "zero"], ["m0"], axis=0))
    model = model_of(*first, *twice, node("Relu", ["image"], ["y"]), output=("N", 1, 2, 2), weights=INDICES)
    assert "computes a size from too many other sizes" in messages(saved(model, tmp_path / "net.onnx"))[0]
