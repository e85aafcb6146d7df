"""`cnnc explain`: print the page about a diagnostic code or an op."""

from argparse import Namespace

from cnnc.cli.parser import Parser, WrongCall
from cnnc.diagnostics import Code
from cnnc.diagnostics.suggestions import did_you_mean
from cnnc.ops import registry
from cnnc.ops.describe import op_page


def add_options(parser: Parser) -> None:
    """Add the argument of `cnnc explain`."""
    about = "A code such as E301, or an op such as conv. Without it, a list of all codes and ops is printed."
    parser.argument("subject", about, required=False)


def run(given: Namespace) -> int:
    """Print a page, or the titles of all pages, and return the exit code."""
    if given.subject is None:
        print("\n".join(each.page.partition("\n")[0].lstrip("# ") for each in Code))
        print(
            "\n"
            + "\n".join(f"{registry.TITLES[family]}: {', '.join(ops)}" for family, ops in registry.FAMILIES.items())
        )
        return 0
    codes = {each.value: each for each in Code}
    if given.subject.upper() in codes:
        print(codes[given.subject.upper()].page.rstrip())
    elif given.subject in registry.PLACES:
        print(f"# {given.subject}\n\n{op_page(registry.get(given.subject))}")
    else:
        help = did_you_mean(given.subject, registry.PLACES) or f"the codes are {', '.join(codes)}"
        raise WrongCall(f"there is no code or op {given.subject}", help)
    return 0
