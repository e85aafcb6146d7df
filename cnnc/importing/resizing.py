"""ONNX's resizes as ops: Resize, Upsample, DepthToSpace and SpaceToDepth."""

from typing import Any

from cnnc.importing.flat_network import FlatNetwork
from cnnc.importing.onnx_nodes import OnnxNode
from cnnc.importing.values import GraphTensor, ShapeStep, Symbol, Unsupported
from cnnc.importing.views import settle
from cnnc.importing.windows import pair


def depth_to_space(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """DepthToSpace: `pixel_shuffle` if the mode is CRD; otherwise with the channels reordered first."""
    x, factor = node.value(), node.attr("blocksize")
    if node.attr("mode", "DCR") != "CRD":
        channels = x.sizes[1]
        if isinstance(channels, Symbol) or channels % factor**2:
            raise Unsupported(f"{channels} channels are no multiple of {factor}²")
        x = interleaved(x, factor**2)
    return net.add("pixel_shuffle", [x], {"factor": factor})


def space_to_depth(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """SpaceToDepth: `pixel_unshuffle` with its channels reordered."""
    x, factor = node.value(), node.attr("blocksize")
    y = net.add("pixel_unshuffle", [x], {"factor": factor})
    return interleaved(y, int(x.sizes[1]))  # type: ignore[arg-type]


def interleaved(x: GraphTensor, groups: int) -> GraphTensor:
    """Return a map with the groups of its channels interleaved, as steps."""
    batch, channels, *space = x.sizes
    part = int(channels) // groups  # type: ignore[arg-type]
    split = x.through(ShapeStep(None, (batch, groups, part, *space)))
    turned = split.through(ShapeStep((0, 2, 1, 3, 4), (batch, part, groups, *space)))
    return turned.through(ShapeStep(None, x.sizes))


MODES = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic", "bilinear": "bilinear"}


def resize(net: FlatNetwork, node: OnnxNode) -> GraphTensor:
    """Resize (and Upsample of opset 9) of a map's height and width."""
    x = settle(net, node.value())
    scales, sizes = _scales(node), None
    if not scales and node.op == "Resize" and node.has(3):
        sizes = node.numbers(3, "the sizes")
    axes = node.attr("axes")
    if len(x.sizes) != 4:
        raise Unsupported(f"it resizes a value of {len(x.sizes)} axes")
    if axes is not None and [axis % 4 for axis in axes] != [2, 3]:
        raise Unsupported(f"it resizes the axes {[*axes]}")
    given = {**_mode(node, x), **_wanted(x, scales, sizes, whole=axes is None)}
    if "mode" not in given:
        _require_rows_of_torch(node, x, given)
    like = given.pop("like", None)
    return net.add("upsample", [x], given, like=like)


def _scales(node: OnnxNode) -> list[float]:
    if "scales" in node.attributes:
        return [*node.attributes["scales"]]
    place = 1 if node.op == "Upsample" or node.opset < 11 else 2
    return node.numbers(place, "the scales") if node.has(place) else []


def _mode(node: OnnxNode, x: GraphTensor) -> dict[str, Any]:
    mode = MODES.get(node.attr("mode", "nearest"))
    where = _coordinates(node)
    if mode is None or node.attr("antialias", 0) or node.attr("exclude_outside", 0):
        raise Unsupported("its mode, antialias or exclude_outside has no counterpart")
    if node.attr("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Unsupported("it keeps the aspect ratio")
    if mode == "nearest":
        return {}
    if mode == "bicubic" and abs(node.attr("cubic_coeff_a", -0.75) + 0.75) > 1e-6:
        raise Unsupported(f"cubic_coeff_a is {node.attr('cubic_coeff_a')}; cnnc's bicubic has -0.75")
    if where not in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        raise Unsupported(f"coordinate_transformation_mode {where} has no counterpart with mode {mode}")
    return {"mode": mode, **({"align_corners": True} if where == "align_corners" else {})}


def _coordinates(node: OnnxNode) -> str:
    first = "asymmetric" if node.op == "Upsample" or node.opset < 11 else "half_pixel"
    return str(node.attr("coordinate_transformation_mode", first))


def _require_rows_of_torch(node: OnnxNode, x: GraphTensor, given: dict[str, Any]) -> None:
    """Raise Unsupported unless a nearest resize takes row floor(i · size / new size) for each i, as torch does."""
    where = _coordinates(node)
    rounding = node.attr("nearest_mode", "floor" if node.op == "Upsample" or node.opset < 11 else "round_prefer_floor")
    factors = _whole_factors(x, given)
    rounds = rounding in ("round_prefer_floor", "round_prefer_ceil")
    whole = factors is not None and (
        max(factors) == 1
        or (where == "asymmetric" and rounding == "round_prefer_floor" and max(factors) == 2)
        or (where in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric") and rounds)
        or (where == "tf_half_pixel_for_nn" and rounding == "floor")
    )
    if not whole and (where, rounding) != ("asymmetric", "floor"):
        raise Unsupported(
            f"coordinate_transformation_mode {where} with nearest_mode {rounding} takes other rows than `upsample`",
            "export it with `asymmetric` and `floor`, or with a whole factor",
        )


def _whole_factors(x: GraphTensor, given: dict[str, Any]) -> list[int] | None:
    """Return the factors of height and width; None if one is not known, or not whole."""
    if "factor" in given:
        factor = given["factor"]
        return [factor] if isinstance(factor, int) else [*factor]
    own = x.sizes[2:]
    if "size" not in given or any(isinstance(each, Symbol) for each in own):
        return None
    size = given["size"]
    wanted = [size, size] if isinstance(size, int) else [*size]
    pairs = [(new, int(old)) for new, old in zip(wanted, own, strict=True)]  # type: ignore[arg-type]
    return [new // old for new, old in pairs] if all(new % old == 0 for new, old in pairs) else None


def _wanted(x: GraphTensor, scales: list[float], sizes: list[Any] | None, *, whole: bool) -> dict[str, Any]:
    if scales:
        if whole and any(each != 1 for each in scales[:2]):
            raise Unsupported(f"it resizes the batch or the channels: its scales are {scales}")
        factors = scales[-2:]
        if all(each == int(each) and each >= 1 for each in factors):
            return {"factor": pair([int(each) for each in factors])}
        if any(isinstance(each, Symbol) for each in x.sizes[2:]):
            raise Unsupported(f"its scales are {factors}, and the height or width is open")
        return {"size": pair([int(size * factor) for size, factor in zip(x.sizes[2:], factors, strict=True)])}
    if sizes is None:
        raise Unsupported("it has neither scales nor sizes")
    return _to_sizes(x, sizes[-2:])


def _to_sizes(x: GraphTensor, wanted: list[Any]) -> dict[str, Any]:
    if not any(isinstance(each, Symbol) for each in wanted):
        return {"size": pair([int(each) for each in wanted])}
    factors = [each / own if isinstance(each, Symbol) else None for each, own in zip(wanted, x.sizes[2:], strict=True)]
    if all(isinstance(each, int) for each in factors):
        return {"factor": pair(factors)}
    sides = [each.side for each in wanted if isinstance(each, Symbol) and each.side is not None]
    like = GraphTensor(sides[0].made, sides[0].port) if sides else None
    if like is None or len(like.sizes) != 4 or [*like.sizes[2:]] != wanted:
        raise Unsupported("its sizes depend on an open height or width")
    return {"like": like}
