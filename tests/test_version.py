"""The version of cnnc/version.py is that of the command line and of all files of a build."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import onnx

import cnnc
from cnnc import version
from cnnc.artifacts import contract
from tests.command import run_command

ROOT = Path(__file__).parents[1]
SPEC = {"cnnc": 1, "name": "tiny", "input": {"image": [1, 4, 4]}, "nodes": ["flatten", {"linear": {"out": 2}}]}


def test_files_and_the_command_line_have_the_version(tmp_path):
    cnnc.build(SPEC, out=tmp_path)
    folder = tmp_path / "tiny"
    model = onnx.load(folder / "tiny.onnx")
    properties = {each.key: each.value for each in model.metadata_props}
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    versions = {
        "command": run_command("--version").stdout.strip(),
        "attribute": cnnc.__version__,
        "producer": model.producer_version,
        "contract": properties[contract.VERSION],
        "tools": json.loads(properties[contract.TOOLS])["cnnc"],
        "manifest": manifest["tools"]["cnnc"],
    }
    assert set(versions.values()) == {version.__version__}
    assert manifest["tools"]["torch"] == importlib.metadata.version("torch")


def test_a_checkout_that_is_not_installed_has_its_version(tmp_path):
    done = subprocess.run(
        [sys.executable, "-S", "-m", "cnnc", "--version"],  # -S: without any installed package
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{cnnc.__version__}\n"
    assert done.stderr == ""
