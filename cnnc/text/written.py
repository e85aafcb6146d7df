"""Write plain data as YAML that cnnc reads back as the same data.

PyYAML writes for readers of YAML 1.1, in which other words are numbers and booleans than in YAML 1.2. So texts that
cnnc would read as something else are quoted. Imports PyYAML only when it is used.
"""

from typing import TYPE_CHECKING, Any

from cnnc.text.scalars import resolve

if TYPE_CHECKING:
    import yaml

WIDTH = 120


def as_yaml(data: Any) -> str:
    """Return dicts, lists, texts, numbers, booleans and None as YAML; innermost lists and dicts take one line."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True  # cnnc refuses anchors

    Dumper.add_representer(str, _text)
    return yaml.dump(data, Dumper=Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=WIDTH)


def _text(dumper: "yaml.SafeDumper", text: str) -> "yaml.ScalarNode":
    try:
        plain = resolve(text) == text
    except ValueError:  # a number that is too large
        plain = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')
