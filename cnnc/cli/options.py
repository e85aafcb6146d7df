"""What several commands take on their line: a spec, values for its parameters, weights; and what is said of them."""

import sys
from collections.abc import Iterable
from typing import Any

from cnnc.cli.parser import Number, Parser, WrongCall
from cnnc.diagnostics.render import visible

SECONDS = Number(float, least=0.001, most=10**9)  # threads cannot wait for ever
WEIGHTS = "a .safetensors file, a checkpoint of torch (.pt, .pth, .ckpt) or an .onnx file"


def add_spec(parser: Parser) -> None:
    """Take the spec that a command is about."""
    parser.argument("spec", "A spec, YAML or JSON; - reads standard input.")


def add_set(parser: Parser, name: str = "--set", help: str = "Set a parameter of the spec; may be repeated.") -> None:
    """Take values for parameters."""
    parser.option(name, metavar="NAME=VALUE", repeat=True, help=help)


def add_weights(parser: Parser, help: str) -> None:
    """Take a file of weights, and how it is read."""
    parser.option("--weights", help=help)
    parser.option("--map", help="With --weights: which tensor is which, as `cnnc weights` proposes it.")
    add_key(parser)


def add_key(parser: Parser) -> None:
    """Take the key of one state_dict among several."""
    parser.option("--key", help="Which state_dict of a checkpoint that holds several, as state_dict_ema.")


def note(remark: str) -> None:
    """Say a remark on standard error."""
    print(f"note: {visible(remark)}", file=sys.stderr)


def require_weights(weights: str | None, **given: str | None) -> None:
    """What speaks of weights, such as `map`, is a wrong call where there are none."""
    for name, value in given.items():
        if value is not None and weights is None:
            raise WrongCall(f"--{name}: a {name} is of weights: give --weights too")


def parameters(*given: Iterable[str] | None) -> dict[str, Any]:
    """The values of `--set NAME=VALUE`, read as the spec would read them; raises WrongCall for what is none."""
    settings = [text for texts in given for text in texts or ()]
    if not settings:
        return {}
    from cnnc.text.python_data import parse_setting

    try:
        return dict(map(parse_setting, settings))
    except ValueError as error:
        raise WrongCall(f"--set: {error}") from None
