"""Arguments and options that several commands share: the spec, values of its parameters, weights."""

import sys
from collections.abc import Iterable
from typing import Any

from cnnc.cli.parser import Number, Parser, WrongCall
from cnnc.diagnostics.render import visible

SECONDS = Number(float, least=0.001, most=10**9)  # Python's threads cannot wait longer
WEIGHTS = "a .safetensors file, a torch checkpoint (.pt, .pth, .ckpt) or an .onnx file"
EMPTY_OUT = "--out: expected a folder, got an empty name; . is the current folder"


def add_spec(parser: Parser) -> None:
    """Add the argument for a spec."""
    parser.argument("spec", "A spec, YAML or JSON; - reads standard input.")


def add_set(parser: Parser, name: str = "--set", help: str = "Set a parameter of the spec; may be repeated.") -> None:
    """Add an option for values of the spec's parameters."""
    parser.option(name, metavar="NAME=VALUE", repeat=True, help=help)


def add_exclude(parser: Parser) -> None:
    """Add the option for globs of files to leave out."""
    parser.option("--exclude", metavar="GLOB", repeat=True, help="Leave these files out; may be repeated.")


def add_weights(parser: Parser, help: str) -> None:
    """Add the options for a file of weights, its map and its key."""
    parser.option("--weights", help=help)
    parser.option("--map", help="With --weights: a file that maps their names, as `cnnc weights` writes it.")
    add_key(parser)


def add_key(parser: Parser) -> None:
    """Add the option for the key of one of several state_dicts."""
    parser.option("--key", help="The state_dict to use if the checkpoint holds several, such as state_dict_ema.")


def note(remark: str) -> None:
    """Print a remark to standard error."""
    print(f"note: {visible(remark)}", file=sys.stderr)


def require_weights(weights: str | None, **given: object) -> None:
    """Raise WrongCall if an option that describes weights, such as `map`, is given without `weights`."""
    for name, value in given.items():
        if value is not None and weights is None:
            raise WrongCall(f"--{name} needs --weights")


def parameters(*given: Iterable[str] | None) -> dict[str, Any]:
    """Return the values of `--set NAME=VALUE`, parsed as in a spec; raises WrongCall for a malformed one."""
    settings = [text for texts in given for text in texts or ()]
    if not settings:
        return {}
    from cnnc.text.python_data import parse_setting

    try:
        return dict(map(parse_setting, settings))
    except ValueError as error:
        raise WrongCall(f"--set: {error}") from None
