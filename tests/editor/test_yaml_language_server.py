"""The schema of `cnnc schema` in yaml-language-server, which editors use for YAML files: `CNNC_NPM=1 pytest …`."""

import os
import shutil
import subprocess

import pytest

from tests.command import run_command
from tests.editor.client import Editor

VERSION = "1.19.0"
SPEC = """\
# yaml-language-server: $schema=cnnc.schema.json
cnnc: 1
input: {image: [3, 32, 32]}
nodes:
  - conv:
      out: 8
      kernel: 3
      pad
"""


@pytest.fixture(scope="module")
def yaml_editor(tmp_path_factory):
    if "CNNC_NPM" not in os.environ:
        pytest.skip("installs yaml-language-server with npm: set CNNC_NPM=1")
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("there is no npm, which installs yaml-language-server")
    folder = tmp_path_factory.mktemp("yaml")
    install = [npm, "install", "--no-audit", "--no-fund", f"yaml-language-server@{VERSION}"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot install yaml-language-server: {done.stderr.strip()[-200:]}")
    (folder / "cnnc.schema.json").write_text(run_command("schema").stdout, encoding="utf-8")
    editor = Editor(folder, "node", str(folder / "node_modules/.bin/yaml-language-server"), "--stdio")
    yield editor
    editor.end()


def test_the_schema_completes_and_describes_attributes(yaml_editor):
    yaml_editor.open("spec.yaml", SPEC)
    found = yaml_editor.complete("spec.yaml", "pad\n", 3)
    assert {"padding", "stride", "act"} <= found.keys()
    assert "parts" not in found
    assert "height and width of the kernel" in yaml_editor.hover("spec.yaml", "kernel: 3")
