"""How a line is read, whatever the command: where options may stand, what is said of a wrong one, and the help."""

import re

import pytest

from cnnc.cli.commands import COMMANDS, parser_of
from cnnc.cli.parser import Number, OneOf, Parser, WrongCall
from tests.command import run_command

LIBRARY = re.compile(r"argparse|typer|click|pydantic|value error|input should|invalid|traceback", re.IGNORECASE)


def read(line):
    """The values of a line of a command with two arguments, of which the second is repeated."""
    parser = Parser("cnnc try", "Try.")
    parser.argument("model", "One.")
    parser.argument("images", "Many.", several=True)
    parser.option("--top", "-k", type=Number(least=1), default=5, help="How many.")
    parser.option("--lr", type=Number(float), help="A number.")
    parser.option("--set", repeat=True, help="Repeated.")
    parser.option("--format", type=OneOf(("text", "json")), default="text", help="One of two.")
    parser.flag("--wide", help="A flag.")
    parser.switch("--tf32", help="A switch.")
    return vars(parser.read(line.split(" ")))


@pytest.mark.parametrize(
    "line",
    ["m a b --top 3", "--top 3 m a b", "m --top 3 a b", "m a --top 3 b", "m a b -k3", "m a b -k=3", "m a b --top=3"],
)
def test_options_stand_where_they_like(line):
    found = read(line)
    assert (found["model"], found["images"], found["top"]) == ("m", ["a", "b"], 3)


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("m a", "top", 5),
        ("m a", "wide", False),
        ("m a --wide", "wide", True),
        ("m a", "tf32", None),
        ("m a --no-tf32", "tf32", False),
        ("m a --tf32 --no-tf32 --tf32", "tf32", True),
        ("m a --top 2 --top 3", "top", 3),
        ("m a --lr -1e-3", "lr", -0.001),
        ("m a --set x=1 --set -x=2", "set", ["x=1", "-x=2"]),
        ("m a --set=", "set", [""]),
        ("m a", "set", None),
        ("m - a", "images", ["-", "a"]),
        ("- a", "model", "-"),
        ("--wide -- --top -k", "images", ["-k"]),
        ("m a -- --wide -", "images", ["a", "--wide", "-"]),
    ],
)
def test_what_a_line_means(line, name, value):
    assert read(line)[name] == value


@pytest.mark.parametrize(
    ("line", "message", "help"),
    [
        ("m a --tops 3", "cnnc try has no option `--tops`", "did you mean `--top`?"),
        ("m a --to 3", "cnnc try has no option `--to`", "did you mean `--top`?"),
        ("m a -q", "cnnc try has no option `-q`", "choose one of `-h`, `--help`, `--top`, `-k`"),
        ("m a --top", "--top needs a value", "`--top <integer>`"),
        ("m a --top --wide", "--top needs a value", "`--top <integer>`"),
        ("m a --wide=1", "--wide takes no value", None),
        ("m a --top 0", "--top/-k: must be at least 1, got 0", "`cnnc try --help`"),
        ("m a --top 1.5", "--top/-k: '1.5' is not an integer", "`cnnc try --help`"),
        ("m a --lr fast", "--lr: 'fast' is not a number", "`cnnc try --help`"),
        ("m a --format xml", "--format: 'xml' is not one of 'text', 'json'", "`cnnc try --help`"),
        ("m", "cnnc try needs IMAGES", "`cnnc try --help`"),
        ("--wide", "cnnc try needs MODEL, IMAGES", "`cnnc try --help`"),
    ],
)
def test_what_is_said_of_a_wrong_line(line, message, help):
    with pytest.raises(WrongCall) as caught:
        read(line)
    assert str(caught.value) == message
    assert caught.value.help is None if help is None else caught.value.help.startswith(help)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_word_of_a_library_is_in_what_is_said(name):
    arguments = ["x"] * sum(not each.option_strings and each.nargs != "?" for each in parser_of(name)._actions)
    told = [run_command(name, *arguments, "surplus", "one") if name == "diff" else run_command(name, "--nosuch")]
    for option, action in parser_of(name).by_name.items():
        told.append(run_command(name, *arguments, f"{option}=\x1b"))
        assert told[-1].exit_code == 2 or action.type is str
        if isinstance(action.type, Number | OneOf):
            assert told[-1].stderr.startswith(f"error: {'/'.join(action.option_strings)}: ")
        if name != "lsp":  # it would serve the tests' input
            told.append(run_command(name, *arguments, option))
    for done in told:
        assert not LIBRARY.search(done.stderr), done.stderr
        assert "\x1b" not in done.stderr


def test_the_help_lists_all_commands_and_exit_codes():
    done = run_command("--help")
    assert (done.exit_code, done.stderr) == (0, "")
    listed = re.findall(r"^  (\w+) ", done.stdout.partition("commands:")[2], re.MULTILINE)
    assert listed == list(COMMANDS)
    assert "3 cnnc itself failed" in " ".join(done.stdout.split())
    assert run_command().exit_code == 2
    assert run_command().stderr == done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_tells_its_options(name):
    done = run_command(name, "--help")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: cnnc {name} [OPTIONS]")
    for option, action in parser_of(name).by_name.items():
        assert option in done.stdout
        assert action.help, option
    assert run_command(name, "-h") == done


def test_a_command_that_is_not_there():
    assert run_command("chekc", "x").stderr == "error: there is no command `chekc`\n  = help: did you mean `check`?\n"
    assert run_command("--versoin").exit_code == 2
    assert run_command("--", "check").exit_code == 2


def test_a_command_may_take_nothing():
    assert vars(Parser("cnnc try", "Try.").read([])) == {}
    with pytest.raises(WrongCall, match="takes no argument x"):
        Parser("cnnc try", "Try.").read(["x"])
