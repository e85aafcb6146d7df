"""Suggestions for unknown words: similar known names, and the names of other frameworks.

Takes an unknown word and the known ones; returns the nearest, or a help line that proposes it. The lengths and numbers
of words are limited, so that no file can make a search slow.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from cnnc.diagnostics import Advice, Diagnostic, Fix, Span, Write

LONGEST = 100  # characters of a word; there is no suggestion for a longer one
MOST = 500  # options that are compared
MOST_PAIRS = 100_000  # pairs of a character of the word and one of an option that a search may compare
PAIRS = 16  # pairs that take as long as one operation of an expression
FEW = 20  # options to list if none is near


def ways(diagnostic: Diagnostic) -> Iterator[tuple[str, Fix]]:
    """Yield all changes of a diagnostic that a program can make, each with its help."""
    for help, fix in (Advice(diagnostic.help or diagnostic.message, diagnostic.fix), *diagnostic.choices):
        if help and fix:
            yield help, fix


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


def is_certain(word: str, near: str, options: Sequence[str], own: bool = False) -> bool:
    """Whether `word` can only mean `near`, the nearest option; `own`: whether the options are names of the file itself.

    It is the same but for spelling, another framework's word for it, or a slip: one letter too many, too few, wrong, or
    exchanged with the next. A person has to decide about other words.
    """
    looked_at = list(_looked_at(word, options))
    others = [option for option in looked_at if option != near]
    if len(looked_at) < len(options) or "(" in word:
        return False
    if _same_letters(word, near, own):
        return all(plain_name(option) != plain_name(word) for option in others)
    least = 4 if own else 3
    if is_loose(word) or plain_name(word) == plain_name(near):
        return False
    if _is_foreign(word, near):
        return not own
    return _is_slip(word, near, least) and not any(_is_slip(word, option, least) for option in others)


def _same_letters(word: str, near: str, own: bool) -> bool:
    """Whether two words differ only in case, `_` and `-`, and one of the language in `2d` and torch's prefix."""
    if own and re.findall(r"\d+", word) != re.findall(r"\d+", near):
        return False
    bare, other = (re.sub(r"[^a-z0-9]", "", each.rpartition(".")[2].lower()) for each in (word, near))
    return bare != "" and other in (bare, bare if own else re.sub("2d|(?<=norm)1d", "", bare))


def _is_foreign(word: str, near: str) -> bool:
    from cnnc.diagnostics.foreign_words import MEANT

    return near in MEANT.get(plain_name(word), ())


def is_loose(word: str) -> bool:
    """Whether another framework's word may mean something else than ours, or more."""
    from cnnc.diagnostics.foreign_words import LOOSE

    return plain_name(word) in LOOSE


def _is_slip(word: str, option: str, least: int) -> bool:
    """Whether two words differ by a slip in a part between `_` and digits that has `least` letters."""
    if abs(len(word) - len(option)) > 1:
        return False
    parts, others = (re.findall(r"[^\W\d_]+|[\d_]+|\W+", each.lower()) for each in (word, option))
    different = [(a, b) for a, b in zip(parts, others, strict=False) if a != b]
    if len(parts) != len(others) or len(different) != 1:
        return False
    ((a, b),) = different
    return a.isalpha() and b.isalpha() and max(len(a), len(b)) >= least and _one_edit(*sorted((a, b), key=len))


def _one_edit(short: str, long: str) -> bool:
    """Whether a letter added, replaced or exchanged with the next turns one word into the other."""
    at = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) < len(long):
        return short[at:] == long[at + 1 :]
    exchanged = short[:at] + short[at : at + 2][::-1] + short[at + 2 :]
    return len(short) == len(long) and (short[at + 1 :] == long[at + 1 :] or exchanged == long)


def respelt(word: str, at: Span | None, options: Iterable[str], own: bool = False) -> Advice:
    """The help line for a misspelt word, and the fix that writes the nearest option in its place."""
    options = list(dict.fromkeys(options))
    near = None if mistyped(word, options) else nearest(word, options)
    fix = Fix((Write(at, near),), is_certain(word, near, options, own)) if at and near else None
    return Advice(did_you_mean(word, options), fix)


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


def is_default(word: str, value: object) -> bool:
    """Whether the needless attribute `word: value` of another framework says what a spec means without it."""
    from cnnc.diagnostics.foreign_words import DEFAULTS

    values = DEFAULTS.get(plain_name(word), ())
    return values is None or (str(value).lower() in values)


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
