"""Makes a self-contained HTML page: styles, scripts and data are inside, and nothing is loaded from elsewhere.

`page.css` has the shared style, `page.js` the shared script. Colours are CSS variables with a value for light and one
for dark: `--ground`, `--panel`, `--line`, `--text`, `--muted`, `--accent`, `--good`, `--bad`, `--warn`, and six for
curves, `--series-1` to `--series-6`. A policy in the page forbids every request, so a page cannot send its data away.
"""

import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def page(title: str, body: str, *, style: str = "", script: str = "", data: Mapping[str, Any] | None = None) -> str:
    """Return the page. `body` is HTML, whose texts the caller has escaped; it has the page's `<main>`.

    `style` and `script` follow the shared ones, and `data` is the value of `DATA` in `script`.
    """
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(title)}</title>
<style>
{part("page.css")}{style}</style>
</head>
<body>
{body}
<script type="application/json" id="data">{_json(data or {})}</script>
<script>
{part("page.js")}{script}</script>
</body>
</html>
"""


def part(name: str, package: str = "cnnc.pages") -> str:
    """Return the text of a style or script that lies in a package."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def _json(data: Mapping[str, Any]) -> str:
    """Return JSON that cannot end the script element which holds it."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
