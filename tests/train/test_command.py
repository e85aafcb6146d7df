"""The command line of training: what it takes, what it refuses, and with which exit code."""

import json

import pytest

from cnnc.cli.parser import Parser
from cnnc.cli.train import add_options
from cnnc.language.recipe import OPTIONS, Train
from tests.command import run_command
from tests.train.conftest import spec


@pytest.fixture
def invoke(tmp_path, pictures, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = pictures()
    (tmp_path / "net.json").write_text(json.dumps(spec()))

    def go(*options):
        return run_command("train", "net.json", "--data", data, *options)

    return go


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--epochs", "0"], "`epochs` of the recipe must be at least 1, got 0"),
        (["--epochs", "many"], "--epochs"),
        (["--lr", "nan"], "`lr` of the recipe must be a finite number"),
        (["--optimizer", "adam"], "'adam' is not one of"),
        (["--optimizer", "adamw", "--momentum", "0.9"], "has `momentum`, which adamw does not take"),
        (["--val-split", "2"], "`val_split` of the recipe must be less than 1"),
        (["--set", "classes"], "expected NAME=VALUE, got 'classes'"),
        (["--devices", "0"], "--devices"),
        (["--devices", "2", "--batch", "auto"], "--batch auto is for one device"),
        (["--find-lr", "--resume"], "--find-lr is for a new run, and cannot take --sweep or --resume"),
        (["--find-lr", "--lr", "-1"], "`lr` of the recipe must be more than 0"),
        (["--sweep", "lr=1,2", "--devices", "2"], "and cannot take --devices"),
        (["--class-weights", "even"], "expected `balanced` or numbers with commas between them, got 'even'"),
    ],
)
def test_a_wrong_option_is_a_wrong_call(invoke, tmp_path, options, says):
    result = invoke(*options)
    assert (result.exit_code, says in " ".join(result.stderr.split())) == (2, True), result.stderr
    assert not (tmp_path / "runs").exists()


def test_the_help_for_a_spec_knows_the_options_that_are_no_fields():
    parser = Parser("cnnc train", "")
    add_options(parser)
    options = {each.dest for each in parser._actions if each.option_strings} - {"help"}
    assert options - Train.model_fields.keys() == {*OPTIONS}


def test_what_goes_beyond_the_call_is_a_diagnostic(invoke):
    result = invoke("--set", "classes=3")
    assert (result.exit_code, result.stderr.startswith("error[E")) == (2, True)
