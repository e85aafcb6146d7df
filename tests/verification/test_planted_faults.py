"""Faults planted in the ONNX file of every network of the course and the zoo: verification finds each, at its node.

The networks have smaller pictures and narrow layers here, which saves most of the time and memory. FULL_SIZE=1 leaves
them as they are.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest

from cnnc.artifacts.export import deployable
from cnnc.compiler import load
from cnnc.diagnostics import CnncError, Code
from cnnc.graph.rebuild import rebuild
from cnnc.ops.base import Refusal
from cnnc.ops.conv import Conv
from cnnc.ops.conv_transpose import ConvTranspose
from cnnc.ops.linear import Linear
from cnnc.ops.source import Parameter
from cnnc.ops.types import TensorType
from cnnc.passes.drop_train_only import drop_train_only
from cnnc.passes.network import Network
from cnnc.targets.choices import Target
from cnnc.targets.loaded_module import prepared
from cnnc.targets.onnx_parts import split
from cnnc.targets.onnx_writer import chunks
from cnnc.targets.registry import TABLE, Made
from cnnc.targets.torch_module import lower
from cnnc.verification.promises import LEAST_SENSITIVITY
from cnnc.verification.verify import Verification, arrays
from tests.by_hand.networks import NETWORKS
from tests.thorough import EVERY, networks

ALIKE = {  # networks that differ from others only in their numbers
    *("resnet101", "resnet152", "wide_resnet50_2", "resnext50_32x4d", "vgg16", "fcn_resnet50", "mobilenet_v3_large"),
}
SHARES = (4, 2, 1)  # one channel of so many stays, if the network can be had so narrow
SIDES = {"efficientnet_v2_s": 64}  # of a smaller picture, a map of one position would pass 35 blocks
SMALL = {Path(each.spec).name: each.small for each in NETWORKS} | {"vit_b_16": {"depth": 2}}
SPECS = [path for path in EVERY if path.stem not in ALIKE or "FULL_SIZE" in os.environ]


class Written(NamedTuple):
    """A file in its parts, to be changed and written again."""

    model: onnx.ModelProto
    weights: dict[str, np.ndarray]

    def store(self, path: Path) -> None:
        others = [each for each in self.model.graph.initializer if each.name not in self.weights]
        del self.model.graph.initializer[:]
        self.model.graph.initializer.extend(others)
        path.write_bytes(b"".join(chunks(self.model, self.weights)))


Fault = Callable[[Written], str | None]  # plants itself and gives the name of the node; None where there is no place


def middle(places):
    """One in the middle, where a network with torch's first weights is deaf already."""
    places = list(places)
    return places[len(places) // 2] if places else None


def layers(written):
    return [node for node in written.model.graph.node if node.op_type in ("Conv", "Gemm", "ConvTranspose")]


def zeroed_tensor(written):
    node = middle(layers(written))
    written.weights[node.input[1]] = np.zeros_like(written.weights[node.input[1]])
    return node.name


def swapped_channels(written):
    node = middle(layers(written))
    written.weights[node.input[1]] = written.weights[node.input[1]][
        [1, 0, *range(2, len(written.weights[node.input[1]]))]
    ]
    return node.name


def attribute(node, name):
    return next((each for each in node.attribute if each.name == name), None)


def moved_pad(written):
    padded = ((node, attribute(node, "pads")) for node in written.model.graph.node)
    found = middle((node, pads) for node, pads in padded if pads is not None and pads.ints[0] and node.op_type != "Pad")
    if found is None:
        return None
    node, pads = found
    pads.ints[0] -= 1
    pads.ints[2] += 1
    return node.name


def larger_epsilon(written):
    node = middle(node for node in written.model.graph.node if attribute(node, "epsilon"))
    if node is None:
        return None
    # 100 times 1e-6 would change values of a variance of 1 or more by less than is tolerated
    attribute(node, "epsilon").f = max(100 * attribute(node, "epsilon").f, 0.02)
    return node.name


def dropped_bias(written):
    node = middle(node for node in layers(written) if len(node.input) == 3)
    if node is None:
        return None
    del node.input[2]
    return node.name


FAULTS: list[Fault] = [zeroed_tensor, swapped_channels, moved_pad, larger_epsilon, dropped_bias]


def smaller(whole):
    """The exported part of a graph with narrow layers, for the smallest of a few sizes of pictures that it takes."""
    graph = drop_train_only(Network(whole, {})).graph
    for share, side in product(SHARES, (SIDES.get(graph.name, 32), 64, 80, 128, None)):
        with suppress(Refusal):
            return rebuild(with_side(graph, side), [narrow(node, graph, share) for node in graph.nodes])
    raise AssertionError(graph.name)


def with_side(graph, side):
    """The graph with square inputs of this side; it is as it was without one."""
    types = (TensorType((each.type.shape[0], side, side)) if side else each.type for each in graph.inputs)
    return replace(
        graph, inputs=tuple(each._replace(type=type) for each, type in zip(graph.inputs, types, strict=True))
    )


def narrow(node, graph, share):
    """The node with a share of its channels; vectors have at most 64."""
    op = node.op
    if isinstance(op, Linear) and node.outputs[0].is_vector:
        changed = {"out": min(op.out, 64)}
    elif isinstance(op, Conv | ConvTranspose):
        depthwise = op.groups == graph.input_types(node)[0].channels
        changed = {"out": part(op.out, share), "groups": part(op.groups, share) if depthwise else op.groups}
    elif isinstance(op, Linear):
        changed = {"out": part(op.out, share)}
    elif isinstance(op, Parameter):  # of which an axis may be one of tokens, whose number is odd
        changed = {"shape": tuple(part(each, share) if each % 32 == 0 else each for each in op.shape)}
    else:
        return node
    return replace(node, op=op.model_copy(update=changed))


def part(channels, share):
    """The share, of at least two channels, which a fault can swap; layers of few keep them."""
    return -(-channels // share) if channels >= 2 * share else channels


@contextmanager
def verification(path: Path) -> Iterator[tuple[Made, Verification]]:
    whole = load(path) if "FULL_SIZE" in os.environ else smaller(load(path, set=SMALL.get(path.stem, {})))
    graph, module = deployable(whole, lower(whole))
    made = Made(Network(graph, arrays(module.state_dict())), graph, module)
    with prepared(module):
        yield made, Verification(made, 0)


@pytest.mark.parametrize("spec", networks(SPECS), ids=lambda path: path.stem)
def test_every_planted_fault_is_found_at_its_node(spec, tmp_path):
    path = tmp_path / "model.onnx"
    with verification(spec) as (made, judge):
        reference = judge.reference()
        TABLE[Target.ONNX].write(made, path)
        assert judge.judge(Target.ONNX, path, reference).sensitivity >= LEAST_SENSITIVITY
        for fault in FAULTS:
            model, weights = split(path)
            written = Written(model, dict(weights))
            node = fault(written)
            if node is None:
                continue
            faulty = tmp_path / "faulty.onnx"
            written.store(faulty)
            with pytest.raises(CnncError) as caught:
                judge.judge(Target.ONNX, faulty, reference)
            [found] = caught.value.diagnostics
            assert found.code == Code.NOT_VERIFIED
            assert f"`{node}" in found.message or f"`{made.graph.node[node].keys}." in found.message, fault.__name__
