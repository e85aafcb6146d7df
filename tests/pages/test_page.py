"""Pages are whole and self-contained, whatever their data hold."""

import json
import re
from html.parser import HTMLParser

from cnnc.pages.page import page

HOSTILE = "</script><script>alert(1)</script><!--"


class Reader(HTMLParser):
    """Collects the elements of a page, and the text of each script."""

    def __init__(self):
        super().__init__()
        self.scripts, self.links, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset")]
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.scripts and self.cdata_elem == "script":
            self.scripts[-1] += data


def test_data_and_title_cannot_leave_their_place():
    text = page(f"a {HOSTILE}", "<main></main>", script="use(DATA);\n", data={"name": HOSTILE})
    reader = Reader()
    reader.feed(text)
    assert len(reader.scripts) == 2
    assert json.loads(reader.scripts[0]) == {"name": HOSTILE}
    assert reader.scripts[1].rstrip().endswith("use(DATA);")
    assert "<title>a &lt;/script&gt;" in text


def test_nothing_is_loaded():
    text = page("a", "<main></main>")
    reader = Reader()
    reader.feed(text)
    assert not reader.links
    assert not re.search(r"https?:|url\(|@import", text)
