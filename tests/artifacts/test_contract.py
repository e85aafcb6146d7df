"""A contract comes back from its JSON as it went in, and a damaged one is a diagnostic."""

import json

import pytest

from cnnc.artifacts.contract import Contract, InputContract, OutputContract
from cnnc.diagnostics import CnncError, Code

FULL = Contract(
    input=InputContract(
        name="image",
        shape=(3, None, None),
        mode="rgb",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        resize=256,
        crop=(224, 224),
        smallest=(32, 32),
        divisor=32,
    ),
    outputs=("fc", "aux1"),
    labels=("Stiefel", "Hündin"),
    scores="probabilities",
)
SMALL = Contract(input=InputContract(name="x", shape=(1, 28, 28), mode="grey", resize=(28, 28)), outputs=("linear",))
CAFFE = Contract(
    input=InputContract(
        name="data", shape=(3, 227, 227), mode="bgr", mean=(104, 117, 123), interpolation="bicubic", scale=255
    ),
    outputs=("prob",),
)
MANY = Contract(
    input=SMALL.input,
    outputs=("mask", "drawn"),
    more_inputs=(InputContract(name="age", shape=(1,), mode=None), CAFFE.input),
    details=(
        OutputContract(name="mask", kind="segmentation", scores="logits", stride=(2.0, 0.5)),
        OutputContract(name="drawn", kind="picture", mode="bgr", mean=(104, 117, 123), std=(1, 1, 1), scale=255),
    ),
)
VECTOR = Contract(input=InputContract(name="x", shape=(10,), mode=None), outputs=("y",), scores=None)


@pytest.mark.parametrize("contract", [FULL, SMALL, CAFFE, MANY, VECTOR])
def test_round_trip(contract):
    assert Contract.from_json(contract.to_json()) == contract


def test_a_contract_of_an_earlier_version_means_what_it_meant():
    said = json.loads(FULL.to_json())
    del said["input"]["interpolation"], said["input"]["scale"]
    del said["more_inputs"], said["details"]
    found = Contract.from_json(json.dumps(said))
    assert found == FULL
    assert found.inputs == (FULL.input,)
    assert [(each.name, each.kind, each.scores) for each in found.described] == [
        ("fc", None, "probabilities"),
        ("aux1", None, None),
    ]
    assert (FULL.input.interpolation, FULL.input.scale) == ("bilinear", 1)


def changed(about=None, **fields):
    data = json.loads(FULL.to_json())
    data["input"].update(about or {})
    return json.dumps({**data, **fields})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "[" * 100_000,
        changed(input=None),
        changed(newer_field=1),
        changed(details=[{"name": "fc"}]),
        changed(details=[{"name": "aux1"}, {"name": "fc"}]),
        changed(details=[{"name": "fc", "kind": "mask"}, {"name": "aux1"}]),
        changed(details=[{"name": "fc", "stride": [0, 1]}, {"name": "aux1"}]),
        changed(details=[{"name": "fc", "mode": "rgb", "mean": [1]}, {"name": "aux1"}]),
        changed(details=[{"name": "fc", "mode": {"rgb": 1}}, {"name": "aux1"}]),
        changed(details=[{"name": "fc", "scale": 2}, {"name": "aux1"}]),
        changed(details=["fc", "aux1"]),
        changed(details=None),
        changed(more_inputs=[{"name": "image", "shape": [1], "mode": None}]),
        changed(more_inputs=[{"name": "age"}]),
        changed(more_inputs=1),
        changed(outputs=[]),
        changed(outputs="fc"),
        changed(outputs=None),
        changed(labels=[1, 2]),
        changed(scores="votes"),
        changed(scores=["logits"]),
        changed({"newer_field": 1}),
        changed({"name": ""}),
        changed({"shape": [1, 28, 28]}),
        changed({"shape": [3, 0, 28]}),
        changed({"shape": [3, 28]}),
        changed({"shape": [3, True, 28]}),
        changed({"shape": None}),
        changed({"mode": "cmyk"}),
        changed({"mode": []}),
        changed({"mean": [0.5]}),
        changed({"mean": ["0", "0", "0"]}),
        changed({"mean": [float("nan")] * 3}),
        changed({"std": [1, 1, 0]}),
        changed({"std": 1}),
        changed({"resize": -1}),
        changed({"resize": 2.5}),
        changed({"resize": [1, 2, 3]}),
        changed({"crop": 224}),
        changed({"smallest": [0, 1]}),
        changed({"interpolation": "nearest"}),
        changed({"interpolation": None}),
        changed({"scale": 0}),
        changed({"scale": 255.0}),
        changed({"scale": True}),
        changed({"divisor": 0}),
        changed({"others": [[1], [0]]}),
        changed({"others": [1, 2]}),
        changed({"others": [[1]]}),
        changed({"remainders": [[0], []]}),
        changed({"either": [0, 3]}),
        changed({"either": 3}),
        changed({"divisor": 10**30}),
    ],
)
def test_what_is_no_contract(text):
    with pytest.raises(CnncError) as caught:
        Contract.from_json(text)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == Code.MODEL_UNREADABLE
    assert "cnnc.contract" in diagnostic.message
    assert len(diagnostic.message) < 500


def test_the_field_at_fault_is_named():
    with pytest.raises(CnncError, match=r"std is \(1, 1, 0\)"):
        Contract.from_json(changed({"std": [1, 1, 0]}))


def test_a_builder_cannot_make_an_unsound_one():
    with pytest.raises(ValueError, match="shape"):
        InputContract(name="x", shape=(3, 28, 28), mode="grey")


@pytest.mark.parametrize(
    ("shape", "rules", "fits", "misfits"),
    [
        ((1, None, 32), {"smallest": (64, 64)}, (64, 32), (63, 32)),
        ((1, None, 31), {"divisor": 2}, (64, 31), (63, 31)),
        ((1, 31, None), {"divisor": 2, "remainders": ((0,), (1,))}, (31, 33), (31, 34)),
        ((1, 31, None), {"remainders": ((0,), ()), "others": ((), (9, 12))}, (31, 12), (31, 13)),
        ((1, None, None), {"smallest": (8, 1), "others": ((3,), ())}, (3, 1), (4, 1)),
        ((1, None, None), {"either": (3, 5)}, (1, 5), (2, 4)),
    ],
)
def test_demands_are_of_the_sizes_that_are_open(shape, rules, fits, misfits):
    about = InputContract(name="image", shape=shape, mode="grey", **rules)
    assert about.misfit(*fits) is None
    assert about.misfit(*misfits)
