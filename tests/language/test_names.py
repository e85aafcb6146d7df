"""Which names a spec may give, held against what torch and Python really take."""

import keyword

import pytest
import torch

import cnnc
from cnnc.diagnostics import Code, Source, Span
from cnnc.language.names import LONGEST, RESERVED, TORCHSCRIPT, check_name
from cnnc.targets.registry import TABLE
from tests.nets import net
from tests.thorough import rows

PLACE = Span(Source("net.yaml", "x"), 1, 1, 1, 2)


def refusals(name):
    found = []
    assert check_name(name, PLACE, found.append) == (not found)
    return found


def test_every_attribute_of_a_module_is_refused():
    module = torch.fx.GraphModule(torch.nn.Module(), torch.fx.Graph())
    taken = {name for name in dir(module) if not name.startswith("__")}
    missing = {name for name in taken if not refusals(name)}
    assert missing == set()


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_reserved_name_is_one_that_a_module_has(name):
    module = torch.fx.GraphModule(torch.nn.Module(), torch.fx.Graph())
    assert hasattr(module, name) or name in torch.nn.Module.__annotations__


@pytest.mark.parametrize(
    "name",
    [*keyword.kwlist, *sorted(TORCHSCRIPT), "__init__", "", "a.b", "a/b", "../x", "é", "a b", "x" * (LONGEST + 1)],
)
def test_what_no_target_can_hold_is_refused_with_a_way_out(name):
    (found,) = refusals(name)
    assert found.code is Code.BAD_NAME
    assert found.help


@pytest.mark.parametrize("name", ["conv1", "0", "_", "Conv", "x" * LONGEST, "weight", "bias", "input", "print"])
def test_what_every_target_can_hold_is_accepted(name):
    assert refusals(name) == []


NAMES = sorted(RESERVED | {"self", "torch"})
QUICK = [target for target in TABLE if target != "pt2"]


@pytest.mark.parametrize("target", rows(TABLE, quick=QUICK))
def test_an_input_may_have_the_name_of_an_attribute_of_a_module(target, tmp_path):
    """Every such name at once; the build verifies what the file computes."""
    spec = {**net({"concat": {"from": NAMES}}), "inputs": {name: [2] for name in NAMES}}
    del spec["input"]
    cnnc.build(spec, targets=[target], out=tmp_path)


@pytest.mark.parametrize("target", rows(TABLE, quick=QUICK))
def test_an_output_may_have_the_name_of_an_attribute_of_a_module(target, tmp_path):
    nodes = [{"affine": {"name": f"y{k}", "from": "image", "shift": k + 1}} for k in range(len(NAMES))]
    outputs = {name: f"y{k}" for k, name in enumerate(NAMES)}
    cnnc.build(net(*nodes, outputs=outputs), targets=[target], out=tmp_path)
