"""What a misspelt word was meant to be: the near names of a scope, and the words of other frameworks.

In: a word that is not known and those that are. Out: the nearest, or a help line that proposes it. Words and options
are bounded, so that no file can make a search of it.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

LONGEST = 100  # characters of a word that anything is proposed for
MOST = 500  # options or words that are looked at
MOST_PAIRS = 100_000  # a character of the word and one of an option: what a search may compare
PAIRS = 16  # of these take as long as one operation of an expression
FEW = 20  # options that are listed where none is near


def known_as(word: str, options: Iterable[str]) -> str | None:
    """The option that is the word itself, otherwise spelt, or what another framework calls so; None where none is."""
    return _known_as(word, _by_plain_name(word, options)) if len(word) <= LONGEST else None


def nearest(word: str, options: Iterable[str]) -> str | None:
    """The option that `word` most likely stands for; None where none is near."""
    if len(word) > LONGEST:
        return None
    known, plain = _by_plain_name(word, options), plain_name(word)
    if found := _known_as(word, known):
        return found
    if needless(word):
        return None
    from difflib import get_close_matches  # takes longer to import than most checks have time for

    near = get_close_matches(word, known.values(), n=1) or get_close_matches(plain, known, n=1)
    return known.get(near[0], near[0]) if near else None


def effort(word: str, options: Iterable[str]) -> int:
    """What it takes to look for a word, in operations of expressions."""
    return len(word) * sum(map(len, _looked_at(word, options))) // PAIRS


def _looked_at(word: str, options: Iterable[str]) -> Iterator[str]:
    """The options that a search has time for."""
    pairs = 0
    for option in islice(options, MOST):
        pairs += len(word) * len(option)
        if pairs > MOST_PAIRS:
            return
        yield option


def _by_plain_name(word: str, options: Iterable[str]) -> dict[str, str]:
    return {plain_name(option): option for option in reversed(list(_looked_at(word, options)))}


def _known_as(word: str, known: Mapping[str, str]) -> str | None:
    plain = plain_name(word)
    if plain and plain in known:
        return known[plain]
    from cnnc.diagnostics.foreign_words import MEANT  # a table that a right spec has no use for

    return next((ours for ours in MEANT.get(plain, ()) if ours in known.values()), None)


def needless(word: str) -> str | None:
    """Why an attribute of another framework is not written here; None for what is none, or has its place."""
    from cnnc.diagnostics.foreign_words import NEEDLESS

    return NEEDLESS.get(plain_name(word)) if len(word) <= LONGEST else None


def did_you_mean(word: str, options: Iterable[str]) -> str | None:
    """A help line: the option nearest to a misspelt word, or all of them where they are few."""
    options = list(dict.fromkeys(options))
    if way_out := mistyped(word, options):
        return way_out
    if near := nearest(word, options):
        return f"did you mean `{near}`?"
    if way_out := needless(word):
        return way_out
    return f"choose one of {', '.join(f'`{option}`' for option in options)}" if 0 < len(options) <= FEW else None


def mistyped(word: str, options: Iterable[str] = ()) -> str | None:
    """A help line for what an eye overlooks: a character that does not show, a colon that wants a space behind it."""
    for character in word:
        if not character.isprintable():
            what = f"U+{ord(character):04X}, {unicodedata.name(character, 'a control character').lower()}"
            return f"it contains an invisible character ({what}): retype the line"
    key, colon, value = word.partition(":")
    if colon and value and nearest(key, options):
        return f"put a space after the colon: `{key}: {value}`" if len(word) <= LONGEST else None
    return None


def plain_name(word: str) -> str:
    """A word as all frameworks spell it: `nn.MaxPool2d`, `max_pool`, `max-pool` and `MaxPool2d(2)` are one."""
    name = word.partition("(")[0].rpartition(".")[2] or word
    return re.sub(r"[^a-z0-9]|[123]d(?=$|transpose)", "", name.lower())
