"""The measuring itself: medians of pairs, a verdict that allows for noise, and the generated spec's size."""

import pytest
import yaml

from cnnc.compiler import load
from tests.bench.cold import blocks, chain
from tests.bench.measure import Comparison, Row, interleave, pooled, process, seconds
from tests.bench.worst import measured


def test_the_ratio_is_taken_pair_by_pair():
    slow_spell = Comparison((1.0, 10.0, 1.0), (2.0, 20.0, 2.0))
    assert slow_spell.ratio == 0.5
    assert slow_spell.noise == 0


@pytest.mark.parametrize(
    ("ours", "over"),
    [((1.01,) * 9, False), ((1.2,) * 9, True), ((0.2, 0.4, 0.9, 1.1, 1.1, 1.1, 1.8, 2.0, 3.0), False)],
)
def test_over_means_more_than_noise_explains(ours, over):
    assert Row("", Comparison(ours, (1.0,) * 9), budget=1.0).over is over


def test_comparisons_are_pooled_pair_by_pair():
    together = pooled([Comparison((1.0, 2.0), (2.0, 4.0)), Comparison((3.0,), (2.0,))])
    assert together == Comparison((1.0, 2.0, 3.0), (2.0, 4.0, 2.0))


def test_a_limit_in_seconds_holds_whatever_the_ratio():
    assert Row("", Comparison((4.0,) * 5, (4.0,) * 5), budget=10, limit=3.0).over


def test_both_actions_run_equally_often():
    calls = []
    comparison = interleave(lambda: calls.append("a"), lambda: calls.append("b"), lasting=0.0, at_least=2)
    assert len(comparison.ours) == len(comparison.theirs) == 2
    assert calls.count("a") == calls.count("b")


def test_a_process_that_fails_says_what_it_printed():
    with pytest.raises(RuntimeError, match="it broke"):
        process("-c", "raise SystemExit('it broke')")()


def test_durations_have_a_unit_that_suits():
    assert [seconds(value) for value in (2.5, 0.0345, 36e-6)] == ["2.5 s", "34.5 ms", "36 µs"]


def test_the_generated_spec_has_the_nodes_that_it_says(tmp_path):
    nodes = yaml.safe_load(chain(tmp_path / "chain.yaml", 1_000).read_text(encoding="utf-8"))["nodes"]
    assert len(nodes) == 1_000


def test_so_has_the_one_that_is_made_of_blocks(tmp_path):
    assert len(load(blocks(tmp_path / "blocks.yaml", 1_000)).nodes) == 1_000


def test_an_expensive_spec_is_measured_in_a_process_of_its_own(tmp_path):
    right, wrong = tmp_path / "right.yaml", tmp_path / "wrong.yaml"
    right.write_text("cnnc: 1\ninput: {image: [1, 2, 2]}\nnodes: [relu]\n")
    wrong.write_text("cnnc: 1\ninput: {image: [1, 2, 2]}\nnodes: [rleu]\n")
    rows = [measured(path.stem, "check", path) for path in (right, wrong)]
    assert [row.verdict for row in rows] == ["accepted", "E205"]
    assert all(0 < row.seconds < 30 and 10 < row.megabytes < 1000 for row in rows)
