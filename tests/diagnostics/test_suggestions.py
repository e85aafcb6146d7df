"""What a misspelt word was meant to be."""

import pytest

from cnnc.diagnostics.foreign_words import MEANT, OURS
from cnnc.diagnostics.suggestions import FEW, did_you_mean, known_as, nearest
from cnnc.language.model import Header
from cnnc.language.recipe import Train
from cnnc.ops import registry
from cnnc.ops.conv import Conv

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
    assert did_you_mean("in_channels", ATTRIBUTES) == "remove it: it is inferred from the input"


@pytest.mark.parametrize(
    ("op", "word", "help"),
    [
        ("global_avg_pool", "keepdims", "remove it: a global pool keeps both axes; a `flatten` after it drops them"),
        ("attention", "key_dim", "remove it: it is inferred from the input"),
        ("attention", "is_causal", "remove it: attention has no mask, so every token attends to every other"),
        ("attention", "batch_first", "remove it: the batch is always the first axis"),
        ("prelu", "shared_axes", "remove it: `per_channel: true` is a slope for each channel"),
        ("concat", "layers", "did you mean `from`?"),
    ],
)
def test_attributes_of_others_that_ops_lack(op, word, help):
    assert did_you_mean(word, (*registry.get(op).model_fields, "from", "name", "share")) == help


def test_few_options_are_listed_and_many_are_not():
    assert did_you_mean("zzz", ["a", "b"]) == "choose one of `a`, `b`"
    assert did_you_mean("zzz", [f"name{k}" for k in range(FEW + 1)]) is None
    assert did_you_mean("zzz", []) is None


def test_no_word_of_ours_is_taken_for_another():
    for name in (*registry.names(), *ATTRIBUTES):
        assert nearest(name, [*registry.names(), *ATTRIBUTES]) == name


def test_what_others_say_leads_to_words_that_there_are():
    attributes = {name for op in registry.names() for name in registry.get(op).model_fields}
    keys = {*Header.model_fields, *Train.model_fields, "from", "name", "when", "repeat", "act", "group", "each"}
    assert {word for each in MEANT.values() for word in each} <= {*registry.names(), *attributes, *keys, "same"}


def test_no_word_of_others_stands_twice():
    assert len(MEANT) == sum(len(words.split()) for words in OURS.values())


@pytest.mark.parametrize(
    ("word", "op"),
    [
        ("nn.Conv2d", "conv"),
        ("torch.nn.BatchNorm2d", "batch_norm"),
        ("Conv2D", "conv"),
        ("Conv2DTranspose", "conv_transpose"),
        ("keras.layers.GlobalAveragePooling2D", "global_avg_pool"),
        ("nn.ReLU()", "relu"),
        ("MaxPool2d(2, 2)", "max_pool"),
        ("LazyConv2d", "conv"),
        ("convolutional", "conv"),
        ("InnerProduct", "linear"),
        ("Gemm", "linear"),
        ("route", "concat"),
        ("shortcut", "add"),
        ("Eltwise", "add"),
        ("Transpose", "permute"),
        ("nn.ZeroPad2d", "pad"),
        ("UpSampling2D", "upsample"),
        ("nn.UpsamplingNearest2d", "upsample"),
        ("leaky", "leaky_relu"),
        ("StochasticDepth", "drop_path"),
        ("unknown", None),
        ("", None),
        ("...", None),
    ],
)
def test_ops_of_others_are_known_without_a_guess(word, op):
    assert known_as(word, registry.names()) == op


@pytest.mark.parametrize(
    ("op", "word", "ours"),
    [
        ("conv", "num_output", "out"),
        ("conv", "size", "kernel"),
        ("conv", "kernel_shape", "kernel"),
        ("conv", "pad", "padding"),
        ("conv", "auto_pad", "padding"),
        ("conv", "dilation_rate", "dilation"),
        ("conv", "group", "groups"),
        ("conv", "use_bias", "bias"),
        ("conv", "bias_term", "bias"),
        ("linear", "units", "out"),
        ("leaky_relu", "negative_slope", "slope"),
        ("leaky_relu", "alpha", "slope"),
        ("elu", "alpha", "alpha"),
        ("batch_norm", "epsilon", "eps"),
        ("dropout", "dropout_ratio", "rate"),
        ("softmax", "dim", "axis"),
        ("permute", "dims", "axes"),
        ("permute", "perm", "axes"),
        ("reshape", "target_shape", "shape"),
        ("adaptive_avg_pool", "output_size", "size"),
        ("local_response_norm", "local_size", "size"),
        ("upsample", "scale_factor", "factor"),
        ("upsample", "stride", "factor"),
        ("upsample", "interpolation", "mode"),
        ("split", "chunks", "parts"),
        ("activation", "activation", "kind"),
        ("affine", "offset", "shift"),
        ("mean", "keepdims", "keep"),
    ],
)
def test_attributes_of_others_are_known_without_a_guess(op, word, ours):
    assert known_as(word, registry.get(op).model_fields) == ours
