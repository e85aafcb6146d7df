"""constraints.txt pins all that pyproject.toml asks for, once, on every system, and names no registry."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "constraints.txt").read_text(encoding="utf-8")
PINS = [Requirement(line) for line in TEXT.splitlines() if line and not line.startswith("#")]
SYSTEMS = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("win32", "AMD64")]


def wanted():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    others = [each for one in extras for each in one if not each.startswith("cnnc[")]
    return [
        *project["project"]["dependencies"],
        *project["build-system"]["requires"],
        *others,
    ]


def holds(requirement, system):
    return requirement.marker is None or requirement.marker.evaluate(system)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize(("platform", "machine"), SYSTEMS)
def test_every_package_is_pinned_once_within_its_range(platform, machine, python):
    """A change of pyproject.toml wants `make constraints`."""
    system = {
        "sys_platform": platform,
        "platform_machine": machine,
        "python_version": python,
        "python_full_version": f"{python}.0",
    }
    pins = {}
    for pin in PINS:
        if holds(pin, system):
            assert pins.setdefault(pin.name, pin) is pin
    for requirement in map(Requirement, wanted()):
        if holds(requirement, system):
            ((operator, version),) = (
                (each.operator, each.version) for each in pins[canonicalize_name(requirement.name)].specifier
            )
            assert operator == "=="
            assert requirement.specifier.contains(version), f"{requirement} is pinned to {version}"


def test_no_registry_is_named():
    assert "://" not in TEXT
    assert not [line for line in TEXT.splitlines() if line.startswith("-")]


def test_torch_may_be_built_for_the_cpu():
    (torch,) = (pin for pin in PINS if pin.name == "torch")
    assert torch.specifier.contains("2.13.0+cpu")
