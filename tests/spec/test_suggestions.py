"""What a misspelt word was meant to be."""

import pytest

from cnnc.ops import registry
from cnnc.ops.conv import Conv
from cnnc.spec.suggestions import ELSEWHERE, FEW, did_you_mean, nearest

ATTRIBUTES = (*Conv.model_fields, "act", "name", "from", "when", "repeat")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("Conv2d", "conv"),
        ("conv2D", "conv"),
        ("ConvTranspose2d", "conv_transpose"),
        ("MaxPool2d", "max_pool"),
        ("maxpool", "max_pool"),
        ("AdaptiveAvgPool2d", "adaptive_avg_pool"),
        ("BatchNorm2d", "batch_norm"),
        ("batch-norm", "batch_norm"),
        ("bn", "batch_norm"),
        ("ReLU", "relu"),
        ("LeakyReLU", "leaky_relu"),
        ("Dense", "linear"),
        ("fc", "linear"),
        ("Concatenate", "concat"),
        ("lrn", "local_response_norm"),
        ("swish", "silu"),
        ("flaten", "flatten"),
        ("dropuot", "dropout"),
        ("transformer", None),
        ("x" * 100_000, None),
    ],
)
def test_ops(word, meant):
    assert nearest(word, registry.names()) == meant


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("out_channels", "out"),
        ("filters", "out"),
        ("kernel_size", "kernel"),
        ("strides", "stride"),
        ("kernal", "kernel"),
        ("activation", "act"),
        ("input", "from"),
        ("times", "repeat"),
    ],
)
def test_attributes(word, meant):
    assert nearest(word, ATTRIBUTES) == meant


def test_what_is_inferred_is_left_out():
    assert did_you_mean("in_channels", ATTRIBUTES) == "leave it out: it follows from the input"


def test_few_options_are_listed_and_many_are_not():
    assert did_you_mean("zzz", ["a", "b"]) == "there are: `a`, `b`"
    assert did_you_mean("zzz", [f"name{k}" for k in range(FEW + 1)]) is None
    assert did_you_mean("zzz", []) is None


def test_no_word_of_ours_is_taken_for_another():
    for name in (*registry.names(), *ATTRIBUTES):
        assert nearest(name, [*registry.names(), *ATTRIBUTES]) == name


def test_what_others_say_leads_to_words_that_there_are():
    keys = {"nodes", "labels", "lr", "batch", "rate", "count_padding", "ceil", "size"}
    assert set(ELSEWHERE.values()) <= {*registry.names(), *ATTRIBUTES, *keys}
