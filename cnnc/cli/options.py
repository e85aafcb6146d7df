"""What several commands take on their line: specs, and values for a spec's parameters."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from cnnc.report import visible

SPEC = Annotated[str, typer.Argument(help="A spec, YAML or JSON; - reads standard input.")]
SET = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter of the spec; may be repeated.")
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
