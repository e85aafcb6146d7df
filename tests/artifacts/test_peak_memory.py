"""What a build takes of memory: little more than onnxruntime needs to load a file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.thorough import thorough

MOST = 2.5  # of the bytes of the weights, over what a build of a tiny network takes
BUILD = """
import cnnc
for name in ("small", "large"):
    cnnc.build(f"{name}.json", weights=f"{name}.safetensors")
    print(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])
"""


def write(name, width, folder):
    """A network with one wide layer, and its weights."""
    nodes = ["relu", {"linear": {"out": width}}]
    spec = {"cnnc": 1, "name": name, "input": {"x": [width]}, "nodes": nodes}
    (folder / f"{name}.json").write_text(json.dumps(spec))
    weights = {"linear.weight": torch.rand(width, width) - 0.5, "linear.bias": torch.rand(width)}
    save_file(weights, folder / f"{name}.safetensors")


@thorough
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell of it so")
def test_a_large_network_is_not_in_memory_several_times(tmp_path):
    width = 6000
    write("small", 8, tmp_path)
    write("large", width, tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    told = subprocess.check_output([sys.executable, "-c", BUILD], cwd=tmp_path, env=environment, text=True)
    small, large = (1024 * int(peak) for peak in told.split())
    assert 4 * width * width < large - small <= MOST * 4 * width * width
