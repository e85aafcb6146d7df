"""What commands take on their line: specs, values for a spec's parameters, and what becomes of warnings."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnc.report import visible

if TYPE_CHECKING:
    from cnnc.levels import Levels

SPEC = Annotated[str, typer.Argument(help="A spec, YAML or JSON; - reads standard input.")]
SET = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter of the spec; may be repeated.")
]

ALLOW = Annotated[
    list[str] | None, typer.Option("--allow", metavar="CODE", help="Do not tell of this warning; may be repeated.")
]
DENY = Annotated[
    list[str] | None,
    typer.Option("--deny", metavar="CODE", help="Make this warning an error (warnings: all); may be repeated."),
]
EXCLUDE = Annotated[
    list[str] | None, typer.Option("--exclude", metavar="GLOB", help="Leave these files out; may be repeated.")
]
WEIGHTS = "a .safetensors file, a checkpoint of torch (.pt, .pth, .ckpt) or an .onnx file"
MAP = Annotated[str | None, typer.Option(help="With --weights: which tensor is which, as `cnnc weights` proposes it.")]
KEY = Annotated[
    str | None, typer.Option(help="Which state_dict of a checkpoint that holds several, as state_dict_ema.")
]


def note(remark: str) -> None:
    """Say a remark on standard error."""
    typer.echo(f"note: {visible(remark)}", err=True)


def require_weights(weights: str | None, **given: str | None) -> None:
    """What speaks of weights, such as `map`, ends with exit code 2 where there are none."""
    for name, value in given.items():
        if value is not None and weights is None:
            raise typer.BadParameter(f"a {name} is of weights: give --weights too", param_hint=f"--{name}")


def parameters(*given: Iterable[str] | None) -> dict[str, Any]:
    """The values of `--set NAME=VALUE`, read as the spec would read them; what is none ends with exit code 2."""
    from cnnc.spec.given import parse_setting

    try:
        return dict(parse_setting(text) for texts in given for text in texts or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--set") from None


def levels(allow: Iterable[str] | None, deny: Iterable[str] | None) -> "Levels":
    """What `--allow` and `--deny` say of warnings; what is no code of one ends with exit code 2."""
    from cnnc.levels import Levels

    try:
        return Levels.of(allow or (), deny or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--allow and --deny") from None
