"""Finds what the reference of the spec language says about a word: `share`, `each`, `from`, `params` …

Takes a word; returns Markdown from `specs/README.md`, which a wheel contains as `cnnc/reference.md`: the section whose
heading names the word, or the paragraph that begins with it, with the examples after it.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import takewhile
from pathlib import Path

ELSEWHERE = {  # the words that neither a heading nor the beginning of a paragraph names, by the heading
    "Values": ("params",),
    "Inputs": ("input",),
    "Outputs": ("as",),
    "Warnings": ("allow",),
    "`each`": ("over",),
    "The file": ("cnnc", "description"),
}
WORDS = (
    *(
        "from",
        "name",
        "when",
        "repeat",
        "each",
        "group",
        "names",
        "share",
        "act",
        "as",
        "like",
        "allow",
        "over",
        "nodes",
    ),
    *("blocks", "params", "values", "use", "input", "inputs", "outputs", "labels", "budget", "train", "paths"),
    *("cnnc", "description", "limits"),
)
_FENCED = re.compile(r"^```.*?^```$\n?", re.MULTILINE | re.DOTALL)


def section_of(word: str) -> str | None:
    """Return what the reference says about a word of the language; None if it is none."""
    if word not in WORDS:
        return None
    text = _text()
    if found := re.search(rf"^\*\*`{word}\b", text, re.MULTILINE):
        about, *rest = _parts(text[found.start() :])
        examples = takewhile(lambda part: part.startswith("```"), rest)
        return "\n\n".join([f"# {word}", about, *examples])
    heading = next((heading for heading, words in ELSEWHERE.items() if word in words), None)
    for section in re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0].removeprefix("## ")
        if title == heading or (heading is None and word in re.findall(r"\w+", title.lower())):
            return re.sub(r"<!-- .* -->\n", "", section[1:]).rstrip()  # a title, as of a page
    raise LookupError(word)


def field_of(word: str) -> str | None:
    """Return what the reference says about a field of the recipe, such as `freeze`; None if it is none."""
    section = section_of("train") or ""
    row = re.search(rf"^\| `{re.escape(word)}` \|.*$", section, re.MULTILINE)
    if row is None:
        return None
    columns = re.search(r"^\| attribute .*\n.*$", section, re.MULTILINE)
    assert columns is not None
    about = re.findall(rf"^\* `{re.escape(word)}` .*\n(?:  .*\n)*", section, re.MULTILINE)
    about += re.findall(rf"^`(?:\w+`,? (?:and )?`)*{re.escape(word)}`.*\n(?:\S.*\n)*", section, re.MULTILINE)
    table = f"{columns[0]}\n{row[0]}"
    return "\n\n".join([f"# {word}: a field of `train`", table, *(each.strip() for each in about)])


@cache
def _text() -> str:
    """Return the reference, from the package or from the checkout."""
    try:
        return files("cnnc").joinpath("reference.md").read_text(encoding="utf-8")
    except FileNotFoundError:
        return (Path(__file__).parents[2] / "specs/README.md").read_text(encoding="utf-8")


def _parts(text: str) -> Iterator[str]:
    """Yield the paragraphs of a text; a fenced block is one part."""
    while text := text.lstrip("\n"):
        fenced = _FENCED.match(text)
        end = fenced.end() if fenced else text.find("\n\n")
        yield text[: end if end >= 0 else None].rstrip("\n")
        text = text[end:] if end >= 0 else ""
