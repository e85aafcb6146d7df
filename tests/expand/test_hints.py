"""What a fault is told to come from, where that stands elsewhere: the caller's values, channels that stand last."""

import pytest

from cnnc.compiler import check
from tests.nets import conv, net


def notes(spec, **settings):
    """The notes on all faults, and the line that each stands at."""
    faults = check(spec, **settings).diagnostics
    assert faults
    return [
        (note.message, note.span and note.span.source.line(note.span.line)) for each in faults for note in each.notes
    ]


def test_a_value_that_the_caller_set_is_not_blamed_on_the_spec():
    spec = net(conv(out="$(2 * c)"), params={"c": 4, "d": 1})
    [(message, line)] = notes(spec, set={"c": 0, "d": 5})
    assert message == "`--set c=0` (in Python `set=`) replaces this value"
    assert '"c": 4' in line


def test_a_value_that_goes_through_a_block_is_known_as_the_callers(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(
        "cnnc: 1\nparams: {c: 4}\ninput: {image: [4, 8, 8]}\n"
        "blocks: {b: {params: {out: null}, nodes: [conv: {out: $out, kernel: 1}]}}\n"
        "nodes:\n  - b: {out: $c}\n"
    )
    *_, (message, line) = notes(path, set={"c": 0})
    assert message.startswith("`--set c=0`")
    assert line == "params: {c: 4}"


@pytest.mark.parametrize("settings", [{}, {"d": 5}])
def test_a_value_of_the_specs_own_is_not_the_callers(settings):
    assert notes(net(conv(out="$c"), params={"c": 0, "d": 1}), set=settings) == []


@pytest.mark.parametrize(
    ("image", "meant"), [((224, 224, 3), "[3, 224, 224]"), ((28, 28, 1), "[1, 28, 28]"), ((64, 48, 4), "[4, 64, 48]")]
)
def test_an_input_whose_channels_stand_last(image, meant):
    found = [message for message, _ in notes(net(conv(kernel=5, stride=9), conv(kernel=99), image=image))]
    assert sum(f"did you mean `{meant}`?" in message for message in found) == 1


@pytest.mark.parametrize("image", [(3, 224, 3), (64, 1, 1), (64, 3, 3), (16, 9, 7)])
def test_an_input_that_is_small_has_its_channels_first(image):
    assert not any("did you mean" in message for message, _ in notes(net(conv(kernel=99), image=image)))
