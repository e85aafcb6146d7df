"""Help lines for specs that are written in JSON, or as a Python dict: they show JSON, not YAML.

Takes a source or a help line; the code in a help line is in backticks, as YAML.
"""

import re

from cnnc.diagnostics import Source

_CODE = re.compile(r"`(- \w+|(?:- )?\w+: +[^`]+)`")


def in_braces(source: Source) -> bool:
    """Whether a spec is written in JSON, or as a Python dict."""
    return re.match(r"\ufeff?\s*\{", source.text) is not None


def in_json(help: str) -> str:
    """Return the help line with the nodes and the attributes in it as JSON."""
    return _CODE.sub(lambda found: f"`{_translated(found[1])}`", help)


def _translated(code: str) -> str:
    import json

    import yaml

    try:
        data = yaml.safe_load(code)
    except yaml.YAMLError:
        return code
    text = json.dumps(data, ensure_ascii=False)[1:-1]  # without the braces or brackets
    return text.replace('"…": null', "…").replace('"…"', "…")
