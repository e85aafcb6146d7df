"""`cnnc explain`: print the page about a diagnostic code."""

from argparse import Namespace

from cnnc.cli.parser import Parser, WrongCall
from cnnc.diagnostics import Code


def add_options(parser: Parser) -> None:
    """Add the argument of `cnnc explain`."""
    parser.argument("code", "A code such as E301. Without it, a list of all codes is printed.", required=False)


def run(given: Namespace) -> int:
    """Print a page, or the titles of all pages, and return the exit code."""
    if given.code is None:
        print("\n".join(each.page.partition("\n")[0].lstrip("# ") for each in Code))
        return 0
    known = {each.value: each for each in Code}
    if given.code.upper() not in known:
        raise WrongCall(f"there is no code {given.code}", f"the codes are {', '.join(known)}")
    print(known[given.code.upper()].page.rstrip())
    return 0
