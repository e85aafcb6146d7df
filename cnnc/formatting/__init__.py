"""The usual format of a spec's text: order of keys, flow or block style by length, comments kept.

`write` takes plain data and returns YAML, `write_json` JSON. `format` takes a text and returns the same text in the
usual format; it is what `cnnc fmt` does to a file. Start with `texts.py`.
"""

from cnnc.formatting.texts import format, format_source, write, write_json

__all__ = ["format", "format_source", "write", "write_json"]
