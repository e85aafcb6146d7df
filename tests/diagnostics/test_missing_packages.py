"""A package that is not installed is named, by whatever command, with a line that brings it."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import cnnc
from cnnc.diagnostics import CnncError, missing_packages
from tests.diagnostics import commands
from tests.test_readme import save_digits
from tests.thorough import rows

ROOT = Path(__file__).parents[2]
SPEC = "cnnc: 1\nname: tiny\ninput: {image: [1, 28, 28]}\nnodes:\n  - flatten\n  - linear: {out: 10}\n"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULES = {"Pillow": "PIL", "PyYAML": "yaml", "onnxruntime-gpu": "onnxruntime", "lightning-fabric": "lightning_fabric"}
PICTURE = str(ROOT / "tests/data/seven.png")
ONNX, SCRIPT, WEIGHTS = (f"build/tiny/tiny.{suffix}" for suffix in ("onnx", "pt", "safetensors"))


def modules_of(requirements):
    """The modules that the requirements bring."""
    names = [Requirement(each).name for each in requirements]
    return {MODULES.get(name, name) for name in names}


def brought_by(message):
    """The modules that the extra in the help of a message brings, and those of a plain installation."""
    found = re.search(r"help: pip install .*\[(\w+)\]'?$", message, re.MULTILINE)
    order = [*missing_packages.EXTRAS]
    if found and found[1] in missing_packages.BESIDE:
        extras = ["infer", found[1]]
    elif found and found[1] in missing_packages.WITHIN:
        extras = [found[1]]
    else:
        extras = order[: order.index(found[1]) + 1] if found else []
        extras += missing_packages.WITHIN if "train" in extras else []
    modules = missing_packages.EXTRAS | missing_packages.BESIDE | missing_packages.WITHIN
    brought = (each for extra in extras for each in modules[extra])
    return {*modules_of(PROJECT["dependencies"]), *brought}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A spec, what is built of it, a model without our metadata, and data."""
    import onnx

    folder = tmp_path_factory.mktemp("light")
    (folder / "tiny.yaml").write_text(SPEC, encoding="utf-8")
    (folder / "cycle.yaml").write_text(SPEC.replace("flatten", "flatten: {from: linear}"), encoding="utf-8")
    cnnc.build(folder / "tiny.yaml", out=folder / "build")
    model = onnx.load(folder / ONNX)
    del model.metadata_props[:]
    onnx.save(model, folder / "foreign.onnx")
    save_digits(folder / "digits")
    return folder


def outcomes_without(modules, jobs, folder):
    """Each job, and its exit code, stdout and stderr, in processes that cannot import `modules`.

    All run in one process: what one has imported does not bring back a module that is hidden.
    """
    hidden = folder / f"no-{'-'.join(modules)}"
    hidden.mkdir(exist_ok=True)
    lines = "".join(f"sys.modules[{each!r}] = None\n" for each in modules)
    (hidden / "sitecustomize.py").write_text(f"import sys\n{lines}")
    done = subprocess.run(
        [sys.executable, "-m", commands.__name__],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(hidden), str(ROOT)])},
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return zip(jobs, json.loads(done.stdout), strict=True)


COMMANDS = {
    "yaml": [["check", "tiny.yaml"]],
    "networkx": [["check", "cycle.yaml"]],
    "pydantic": [["diff", "tiny.yaml", "tiny.yaml"]],
    "torch": [
        ["build", "tiny.yaml", "-o", "out"],
        ["weights", "tiny.yaml", WEIGHTS],
        ["verify", "tiny.yaml", SCRIPT],
        ["eval", SCRIPT, "--data", "digits"],
        ["train", "tiny.yaml", "--data", "digits", "--epochs", "1"],
    ],
    "numpy": [
        ["build", "tiny.yaml", "-o", "out"],
        ["weights", "tiny.yaml", WEIGHTS],
        ["verify", "tiny.yaml", ONNX],
        ["verify", "tiny.yaml", SCRIPT],
        ["eval", SCRIPT, "--data", "digits"],
        ["train", "tiny.yaml", "--data", "digits", "--epochs", "1"],
        ["infer", ONNX, PICTURE],
    ],
    "onnx": [
        ["build", "tiny.yaml", "-o", "out"],
        ["weights", "tiny.yaml", ONNX],
        ["build", "tiny.yaml", "--weights", ONNX, "-o", "out"],
        ["verify", "tiny.yaml", ONNX],
    ],
    "onnxruntime": [
        ["build", "tiny.yaml", "-o", "out"],
        ["verify", "tiny.yaml", ONNX],
        ["infer", ONNX, PICTURE, "--provider", "cpu"],
        ["infer", "foreign.onnx", PICTURE, "--provider", "cpu"],
        ["eval", ONNX, "--data", "digits", "--device", "cpu"],
    ],
    "safetensors": [
        ["build", "tiny.yaml", "--weights", WEIGHTS, "-o", "out"],
        ["weights", "tiny.yaml", WEIGHTS],
    ],
    "PIL": [["infer", ONNX, PICTURE]],
    "pyarrow": [["infer", ONNX, PICTURE, "--provider", "cpu", "-o", "out.parquet"]],
    "ray": [["infer", ONNX, PICTURE, "--provider", "cpu", "--engine", "ray"]],
    "pygls": [["lsp"]],
    "matplotlib": [["eval", ONNX, "--data", "digits", "-o", "matrix.png"]],
    "tensorboard": [["train", "tiny.yaml", "--data", "digits", "--epochs", "1"]],
}


SLOW = {"onnxruntime", "safetensors"}  # two of those whose process imports torch

CALLS = {
    "check": "cnnc.check('cycle.yaml')",
    "compile": "cnnc.compile('tiny.yaml')",
    "build": "cnnc.build('tiny.yaml', out='out')",
    "verify": f"cnnc.verify('tiny.yaml', {ONNX!r})",
    "load_model": f"from cnnc.inference.predict import load_model; load_model({ONNX!r}, 'cpu')",
    "train": "from pathlib import Path; from cnnc.train.run import train; "
    "train(cnnc.load('tiny.yaml'), {'data': 'digits'}, Path('out'))",
}
FUNCTIONS = {
    "networkx": ["check"],
    "pydantic": ["check"],
    "torch": ["compile", "train"],
    "numpy": ["compile", "verify"],
    "onnxruntime": ["load_model", "build"],
}


def program(call):
    """A program that calls a function, and prints its error as the command line does."""
    return f"import cnnc, sys\ntry:\n    {CALLS[call]}\nexcept cnnc.CnncError as error:\n    sys.exit(str(error))\n"


@pytest.mark.parametrize("module", rows(COMMANDS, quick=COMMANDS.keys() - SLOW))
def test_what_is_lacking_is_named(folder, module):
    package = {"PIL": "Pillow", "yaml": "PyYAML"}.get(module, module)
    jobs = [*COMMANDS[module], *map(program, FUNCTIONS.get(module, ()))]
    for job, (code, _, said) in outcomes_without([module], jobs, folder):
        assert code == 1, (job, said)
        assert said.startswith("error[E513]: "), job
        assert f" needs {package}, which is not installed\n  = help: pip install " in said, job
        assert module in brought_by(said), job
        assert not (folder / "out").exists(), job


@pytest.mark.parametrize(
    ("modules", "named", "job"),
    [
        (["torch", "onnx", "numpy"], "numpy, torch and onnx", ["build", "tiny.yaml", "-o", "out"]),
        (["torch", "onnxruntime"], "torch and onnxruntime", ["verify", "tiny.yaml", ONNX]),
        (["torch", "numpy", "safetensors"], "numpy and torch", ["weights", "tiny.yaml", WEIGHTS]),
        (["onnxruntime", "PIL"], "Pillow and onnxruntime", ["infer", ONNX, PICTURE, "--provider", "cpu"]),
        (["torch", "tensorboard"], "torch and tensorboard", ["train", "tiny.yaml", "--data", "digits"]),
        (["numpy", "onnx"], "numpy and onnx", "build"),
    ],
)
def test_all_packages_that_are_lacking_are_named(folder, modules, named, job):
    command = job if isinstance(job, str) else job[0]
    [(_, (code, _, said))] = outcomes_without(modules, [program(job) if job == command else job], folder)
    assert code == 1, said
    assert said.startswith("error[E513]: ")
    assert f" needs {named}, which are not installed\n  = help: pip install " in said
    assert brought_by(said) >= {*missing_packages.NEEDS[command]}
    assert not (folder / "out").exists()


ENOUGH = {
    "": [
        ["check", "tiny.yaml", "--wide"],
        ["check", "tiny.yaml", "--format", "json"],
        ["diff", "tiny.yaml", "cycle.yaml"],
        ["explain", "E301"],
    ],
    "infer": [
        ["infer", ONNX, PICTURE, "--provider", "cpu"],
        ["infer", "foreign.onnx", PICTURE, "--provider", "cpu"],
    ],
    "build": [
        ["build", "tiny.yaml", "--weights", WEIGHTS, "-o", "again"],
        ["verify", "tiny.yaml", ONNX],
        ["weights", "tiny.yaml", ONNX],
        ["eval", ONNX, "--data", "digits", "--device", "cpu"],
        ["eval", SCRIPT, "--data", "digits", "--device", "cpu"],
    ],
}


@pytest.mark.parametrize("extra", ENOUGH)
def test_a_command_needs_no_later_extra(folder, extra):
    order = ["", *missing_packages.EXTRAS]
    later = [each for name in order[order.index(extra) + 1 :] for each in missing_packages.EXTRAS[name]]
    for command, (code, _, said) in outcomes_without(later, ENOUGH[extra], folder):
        wrong = "cycle.yaml" in command
        assert code == wrong, (command, said)
        assert "E513" not in said, command


def test_extras_are_those_of_pyproject():
    assert modules_of(PROJECT["dependencies"]) == {"pydantic", "networkx", "yaml"}
    contained = ""
    for extra, modules in missing_packages.EXTRAS.items():
        listed = PROJECT["optional-dependencies"][extra]
        within = ",".join(["", *missing_packages.WITHIN]) if extra == "train" else ""
        others = {each for each in listed if each.startswith("cnnc")}
        assert others == ({f"cnnc[{contained}{within}]"} if contained else set())
        assert modules_of(each for each in listed if not each.startswith("cnnc")) == set(modules)
        contained = extra
    for extra, modules in (missing_packages.BESIDE | missing_packages.WITHIN).items():
        listed = PROJECT["optional-dependencies"][extra]
        assert modules_of(each for each in listed if not each.startswith("cnnc")) == set(modules)
    assert PROJECT["optional-dependencies"]["all"] == [f"cnnc[{contained},parquet,lsp,sweep]"]


def test_every_dependency_is_imported_and_every_import_is_a_dependency():
    imported = set()
    for path in (ROOT / "cnnc").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).partition(".")[0])
    every = missing_packages.EXTRAS | missing_packages.BESIDE | missing_packages.WITHIN
    extras = {each for modules in every.values() for each in modules}
    imported -= {*sys.stdlib_module_names, "cnnc", "pydantic_core"}  # pydantic contains pydantic_core
    assert imported == extras | modules_of(PROJECT["dependencies"])


def noted(monkeypatch, **origin):
    """The line for the extra `train` where pip noted that cnnc came from `origin`."""
    note = json.dumps(origin) if origin else None
    monkeypatch.setattr(metadata.PathDistribution, "read_text", lambda self, name: note)
    with pytest.raises(CnncError) as caught:
        missing_packages.require(["no_such_module_either"], "this")
    plain = caught.value.diagnostics[0].help
    monkeypatch.setattr(missing_packages, "find_spec", lambda name: None)
    with pytest.raises(CnncError) as caught:
        missing_packages.require(missing_packages.NEEDS["train"], "training")
    return plain, caught.value.diagnostics[0].help


@pytest.mark.skipif(os.name == "nt", reason="shells quote differently there")
@pytest.mark.parametrize(
    ("origin", "plain", "train"),
    [
        ({}, "cnnc", "'cnnc[train]'"),
        ({"url": "file:///a/b", "dir_info": {}}, "/a/b", "'/a/b[train]'"),
        ({"url": "file:///a%20b", "dir_info": {"editable": True}}, "--editable '/a b'", "--editable '/a b[train]'"),
        ({"url": "file:///a/c.whl", "archive_info": {}}, "file:///a/c.whl", "'cnnc[train] @ file:///a/c.whl'"),
        (
            {"url": "https://e.org/c.git", "vcs_info": {"vcs": "git", "commit_id": "1f"}},
            "git+https://e.org/c.git",
            "'cnnc[train] @ git+https://e.org/c.git'",
        ),
        (
            {
                "url": "https://e.org/c.git",
                "vcs_info": {"vcs": "git", "commit_id": "1f", "requested_revision": "v1"},
                "subdirectory": "py",
            },
            "'git+https://e.org/c.git@v1#subdirectory=py'",
            "'cnnc[train] @ git+https://e.org/c.git@v1#subdirectory=py'",
        ),
        (
            {"url": "file:///a/c", "vcs_info": {"vcs": "git", "commit_id": "1f"}},
            "git+file:///a/c",
            "python -m pip install --upgrade pip && pip install 'cnnc[train] @ git+file:///a/c'",
        ),
    ],
)
def test_the_line_installs_from_where_cnnc_came(monkeypatch, origin, plain, train):
    train = train if " && " in train else f"pip install {train}"
    assert noted(monkeypatch, **origin) == (f"pip install {plain}", train)


@pytest.mark.skipif(os.name == "nt", reason="shells quote differently there")
def test_a_checkout_that_is_not_installed_installs_itself(folder):
    command = [sys.executable, "-S", "-m", "cnnc", "check", "tiny.yaml"]  # -S: without any installed package
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "needs pydantic, networkx and PyYAML, which are not installed\n" in done.stderr
    assert f"  = help: pip install {shlex.quote(str(ROOT))}\n" in done.stderr


def test_what_lies_inside_a_package_is_no_package():
    assert missing_packages.not_installed(ModuleNotFoundError("x", name="json.no_such_part"), "", "this") is None
    assert missing_packages.not_installed(ModuleNotFoundError("x", name="no_such_module"), "", "this") is not None
