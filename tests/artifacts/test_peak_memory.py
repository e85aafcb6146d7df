"""What a build takes of memory: little more than onnxruntime needs to load a file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

MOST = 2.5  # of the bytes of the weights, over what a build of a tiny network takes
BUILD = "import cnnc; cnnc.build('net.json', weights='w.safetensors'); print(open('/proc/self/status').read())"


def peak(width, folder):
    """The most memory that a build of a network with one wide layer has held, in bytes."""
    spec = {"cnnc": 1, "name": "net", "input": {"x": [width]}, "nodes": ["relu", {"linear": {"out": width}}]}
    (folder / "net.json").write_text(json.dumps(spec))
    weights = {"linear.weight": torch.rand(width, width) - 0.5, "linear.bias": torch.rand(width)}
    save_file(weights, folder / "w.safetensors")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    told = subprocess.check_output([sys.executable, "-c", BUILD], cwd=folder, env=environment, text=True)
    return 1024 * int(told.partition("VmHWM:")[2].split()[0])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell of it so")
def test_a_large_network_is_not_in_memory_several_times(tmp_path):
    width = 6000
    assert peak(width, tmp_path) - peak(8, tmp_path) <= MOST * 4 * width * width
