"""What verification takes of memory is told before anything is allocated."""

import tracemalloc

import numpy as np
import pytest

from cnnc.compiler import build, load
from cnnc.diagnostics import CnncError, Code
from cnnc.targets.sample_inputs import spaces
from cnnc.verification import verify
from cnnc.verification.compare import compare, noise, sensitivity
from cnnc.verification.memory_needed import batches_that_fit, free_memory, needed

LARGE = {
    "cnnc": 1,
    "name": "n",
    "input": {"image": [1, 8, 8]},
    "nodes": [{"conv": {"out": 2, "kernel": 3}}, {"upsample": {"name": "up", "size": [30000, 33000]}}],
}


def test_what_verification_has_no_room_for_is_refused_before_anything_is_allocated(tmp_path, monkeypatch):
    monkeypatch.setattr("cnnc.verification.memory_needed.free_memory", lambda: 8 * 10**9)
    with pytest.raises(CnncError) as caught:
        build(LARGE, out=tmp_path / "out")
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == Code.NOT_EXPORTABLE
    assert "needs 95.0 GB of memory, but only 8.0 GB is available; the output of `up` alone takes 7.9 GB" in str(
        diagnostic
    )
    assert not (tmp_path / "out").exists()


def test_where_weights_leave_no_room_they_are_named(monkeypatch):
    monkeypatch.setattr("cnnc.verification.memory_needed.free_memory", lambda: 10**6)
    graph = load("specs/lenet.yaml", set={"classes": 10**6})
    with pytest.raises(CnncError) as caught:
        batches_that_fit(graph, spaces(graph))
    [diagnostic] = caught.value.diagnostics
    assert "728.6 MB of memory, but only 1.0 MB is available; its weights alone take 340.2 MB" in str(diagnostic)
    assert "picture" not in diagnostic.help


def test_where_memory_is_short_batches_are_smaller(monkeypatch):
    graph = load(LARGE)
    need = needed([graph], (1, 3))
    assert needed([graph], (1, 1)) < need
    monkeypatch.setattr("cnnc.verification.memory_needed.free_memory", lambda: need)
    assert batches_that_fit(graph, spaces(graph)) == (1, 3)
    monkeypatch.setattr("cnnc.verification.memory_needed.free_memory", lambda: need - 1)
    assert batches_that_fit(graph, spaces(graph)) == (1, 1)
    monkeypatch.setattr("cnnc.verification.memory_needed.free_memory", lambda: None)
    assert batches_that_fit(graph, spaces(graph)) == (1, 3)
    monkeypatch.undo()
    assert free_memory() is None or free_memory() > 10**6


@pytest.mark.parametrize(
    ("node", "size"),
    [
        ({"max_pool": {"kernel": 2**20, "padding": "same"}}, "4,398.0 GB"),
        ({"avg_pool": {"kernel": 2**20, "padding": "same", "count_padding": False}}, "4,398.0 GB"),
        ({"conv_transpose": {"out": 1, "kernel": 2, "stride": 2**18, "padding": 7 * 2**17}}, "13,469.0 GB"),
    ],
    ids=["max_pool", "avg_pool", "conv_transpose"],
)
def test_padding_that_has_no_room_is_refused(node, size):
    """What comes out is small, but torch makes the padded map, or the one that is cut, on the way."""
    graph = load({"cnnc": 1, "name": "n", "input": {"image": [1, 8, 8]}, "nodes": ["relu", node]})
    with pytest.raises(CnncError) as caught:
        batches_that_fit(graph, spaces(graph))
    assert caught.value.diagnostics[0].code == Code.NOT_EXPORTABLE
    [name] = node
    assert f"`{name}` with its padding alone takes {size}" in str(caught.value)


@pytest.mark.parametrize(("batch", "samples"), [(1, 2), (3, 4)])
def test_live_weights_are_drawn_for_no_more_samples_than_there_is_room_for(batch, samples, tmp_path, monkeypatch):
    nodes = [{"conv": {"out": 1, "kernel": 3}}, {"upsample": {"size": [256, 256]}}]
    graph = load({"cnnc": 1, "name": "n", "input": {"image": [1, 8, 8]}, "nodes": nodes})
    monkeypatch.setattr("cnnc.verification.memory_needed.free_memory", lambda: needed([graph], (1, batch)))
    seen, enliven = [], verify.enliven
    monkeypatch.setattr(
        verify, "enliven", lambda m, inputs, *rest: seen.append(len(inputs[0])) or enliven(m, inputs, *rest)
    )
    build(graph.spec, targets="onnx", out=tmp_path)
    assert set(seen) == {samples}
    assert samples <= 2 * batch  # torch is alone then; of each batch there is room for two


@pytest.mark.parametrize("look", [compare, noise, lambda a, b: sensitivity(b)], ids=["compare", "noise", "sensitivity"])
def test_large_outputs_are_looked_at_in_parts(look):
    a = np.linspace(0, 1, 2**25, dtype=np.float32).reshape(4, -1)
    b = a + np.float32(1e-6)
    tracemalloc.start()
    try:
        look(a, b)
        assert tracemalloc.get_traced_memory()[1] < a.nbytes
    finally:
        tracemalloc.stop()
