"""What several commands take on their line: specs, and values for a spec's parameters."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

SPEC = Annotated[str, typer.Argument(help="A spec, YAML or JSON; - reads standard input.")]
SET = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter of the spec; may be repeated.")
]


def parameters(*given: Iterable[str] | None) -> dict[str, Any]:
    """The values of `--set NAME=VALUE`, read as the spec would read them; what is none ends with exit code 2."""
    from cnnc.spec.given import parse_setting

    try:
        return dict(parse_setting(text) for texts in given for text in texts or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--set") from None
