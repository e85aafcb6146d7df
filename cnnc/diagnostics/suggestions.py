"""Suggestions for unknown words: similar known names, and the names of other frameworks.

Takes an unknown word and the known ones; returns the nearest, or a help line that proposes it. The lengths and numbers
of words are limited, so that no file can make a search slow.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

LONGEST = 100  # characters of a word; there is no suggestion for a longer one
MOST = 500  # options that are compared
MOST_PAIRS = 100_000  # pairs of a character of the word and one of an option that a search may compare
PAIRS = 16  # pairs that take as long as one operation of an expression
FEW = 20  # options to list if none is near


def known_as(word: str, options: Iterable[str]) -> str | None:
    """The option that equals the word except for spelling, or has this name in another framework; or None."""
    return _known_as(word, _by_plain_name(word, options)) if len(word) <= LONGEST else None


def nearest(word: str, options: Iterable[str]) -> str | None:
    """The option that `word` most likely means; None if none is near."""
    if len(word) > LONGEST:
        return None
    known, plain = _by_plain_name(word, options), plain_name(word)
    if found := _known_as(word, known):
        return found
    if needless(word):
        return None
    from difflib import get_close_matches  # slow to import; most checks do not need it

    near = get_close_matches(word, known.values(), n=1) or get_close_matches(plain, known, n=1)
    return known.get(near[0], near[0]) if near else None


def effort(word: str, options: Iterable[str]) -> int:
    """The cost of a search for a word, in operations of expressions."""
    return len(word) * sum(map(len, _looked_at(word, options))) // PAIRS


def _looked_at(word: str, options: Iterable[str]) -> Iterator[str]:
    """The options that a search compares, within the limits."""
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
    from cnnc.diagnostics.foreign_words import MEANT  # a valid spec does not need this table

    return next((ours for ours in MEANT.get(plain, ()) if ours in known.values()), None)


def needless(word: str) -> str | None:
    """Why an attribute of another framework is not needed; None for any other word."""
    from cnnc.diagnostics.foreign_words import NEEDLESS

    return NEEDLESS.get(plain_name(word)) if len(word) <= LONGEST else None


def did_you_mean(word: str, options: Iterable[str]) -> str | None:
    """A help line: the option nearest to a misspelt word, or all options if they are few."""
    options = list(dict.fromkeys(options))
    if way_out := mistyped(word, options):
        return way_out
    if near := nearest(word, options):
        return f"did you mean `{near}`?"
    if way_out := needless(word):
        return way_out
    return f"choose one of {', '.join(f'`{option}`' for option in options)}" if 0 < len(options) <= FEW else None


def mistyped(word: str, options: Iterable[str] = ()) -> str | None:
    """A help line for an invisible character, or for a colon in a string or without a space after it."""
    for character in word:
        if not character.isprintable():
            what = f"U+{ord(character):04X}, {unicodedata.name(character, 'a control character').lower()}"
            return f"it contains an invisible character ({what}): retype the line"
    key, colon, value = word.partition(":")
    if colon and value and nearest(key, options):
        say = "write a key and its value" if value[0] == " " else "put a space after the colon"
        return f"{say}: `{key}: {value.strip()}`" if len(word) <= LONGEST else None
    return None


def plain_name(word: str) -> str:
    """A word without differences of spelling: `nn.MaxPool2d`, `max_pool`, `max-pool` and `MaxPool2d(2)` are equal."""
    name = word.partition("(")[0].rpartition(".")[2] or word
    return re.sub(r"[^a-z0-9]|[123]d(?=$|transpose)", "", name.lower())
