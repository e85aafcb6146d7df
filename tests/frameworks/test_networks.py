"""The whole networks of `specs/FROM_OTHER_FRAMEWORKS.md` are right: the spec computes what the foreign text does."""

import re

import torch
from torch import nn
from torch.nn import functional

from cnnc.compiler import compile
from tests.frameworks import darknet_lines
from tests.frameworks.page import section
from tests.frameworks.torch_lines import randomised


def blocks(title, language):
    return re.findall(rf"^```{language}\n(.*?)^```", section(title), re.MULTILINE | re.DOTALL)


def module_of(title, tmp_path):
    (text,) = blocks(title, "yaml")
    spec = tmp_path / "spec.yaml"
    spec.write_text(text, encoding="utf-8")
    return compile(spec).eval()


def test_the_spec_of_a_torch_module_takes_its_state_dict(tmp_path):
    (text,) = blocks("torch", "python")
    scope = {"torch": torch, "nn": nn, "F": functional}
    exec(text, scope)
    theirs, ours = scope["Net"]().eval(), module_of("torch", tmp_path)
    randomised(theirs)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)


def test_the_spec_of_a_cfg_file_computes_what_darknet_does(tmp_path):
    (cfg,) = blocks("Darknet", "ini")
    x = torch.rand(2, 3, 32, 32)
    outputs, weights = darknet_lines.network(cfg, x)
    ours = module_of("Darknet", tmp_path)
    keys = [key for key, value in ours.state_dict().items() if value.is_floating_point()]
    ours.load_state_dict(dict(zip(keys, weights.values(), strict=True)), strict=False)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), outputs[-1], atol=1e-3, rtol=1e-4)
