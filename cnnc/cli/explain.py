"""`cnnc explain`: print the page about a diagnostic code, an op, a word of the language, or a command."""

from argparse import Namespace

from cnnc.cli.commands import COMMANDS, parser_of
from cnnc.cli.parser import Parser, WrongCall
from cnnc.diagnostics import Code
from cnnc.diagnostics.suggestions import did_you_mean, nearest
from cnnc.language.foreign_nodes import op_meant
from cnnc.language.reference import WORDS, field_of, section_of
from cnnc.ops import purposes, registry
from cnnc.ops.describe import op_page


def add_options(parser: Parser) -> None:
    """Add the argument of `cnnc explain`."""
    about = (
        "A code such as E301, an op such as conv, a word of the language such as share, a field of the recipe such as "
        "freeze, a command such as import, or the word ops, for an index of the ops. Without it, the codes, ops and "
        "words are listed."
    )
    parser.argument("subject", about, required=False)


def run(given: Namespace) -> int:
    """Print a page, or the titles of all pages, and return the exit code."""
    if given.subject is None:
        print("\n".join(each.page.partition("\n")[0].lstrip("# ") for each in Code))
        print("\nOps, described by `cnnc explain ops`:")
        print("\n".join(f"{purpose}: {', '.join(ops.split())}" for purpose, ops in purposes.PURPOSES.items()))
        print(f"\nWords of the language: {', '.join(WORDS)}")
        return 0
    codes = {each.value: each for each in Code}
    if given.subject.upper() in codes:
        print(codes[given.subject.upper()].page.rstrip())
    elif given.subject == "ops":
        print("\n\n".join(_purpose(purpose, ops) for purpose, ops in purposes.index()))
    elif given.subject in registry.PLACES:
        print(f"# {given.subject}\n\n{op_page(registry.get(given.subject))}")
    elif section := section_of(given.subject) or field_of(given.subject):
        print(section)
    elif given.subject in COMMANDS:
        print(parser_of(given.subject).format_help().rstrip())
    else:
        words = did_you_mean(given.subject, WORDS) if nearest(given.subject, WORDS) else None
        help = words or op_meant(given.subject, None, ()).help or "`cnnc explain` lists all codes, ops and words"
        raise WrongCall(f"there is no code, op, word or command {given.subject}", help)
    return 0


def _purpose(purpose: str, ops: list[tuple[str, str]]) -> str:
    return "\n".join([purpose, *(f"  {op:<20} {words}" for op, words in ops)])
