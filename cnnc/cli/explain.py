"""`cnnc explain`: the page about a diagnostic's code."""

from argparse import Namespace

from cnnc.cli.parser import Parser, WrongCall
from cnnc.diagnostics import Code


def add_options(parser: Parser) -> None:
    """Take a code."""
    parser.argument("code", "A code such as E301; left out: a list of all codes.", required=False)


def run(given: Namespace) -> int:
    """Print a page, or the titles of all; gives the exit code."""
    if given.code is None:
        print("\n".join(each.page.partition("\n")[0].lstrip("# ") for each in Code))
        return 0
    known = {each.value: each for each in Code}
    if given.code.upper() not in known:
        raise WrongCall(f"there is no code {given.code}; there are {', '.join(known)}")
    print(known[given.code.upper()].page.rstrip())
    return 0
