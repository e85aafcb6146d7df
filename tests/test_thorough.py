"""Which networks are quick, and how many examples random tests draw."""

from types import SimpleNamespace

import pytest
import yaml
from hypothesis import settings

from tests import conftest
from tests.thorough import CHOSEN, EVERY, QUICK, ROOT, examples, networks, rows


def is_thorough(row):
    return [mark.name for mark in getattr(row, "marks", ())] == ["thorough"]


def test_the_networks_of_the_course_are_quick_and_a_new_one_is_thorough():
    paths = ["specs/lenet.yaml", ROOT / "specs/resnet18.yaml", "specs/zoo/vit_b_16", "specs/zoo/resnet18.yaml"]
    marked = networks([*paths, "specs/zoo/new.yaml", "tests/published/new.yaml"])
    assert marked[:3] == paths[:3]
    assert [*map(is_thorough, marked)] == [False, False, False, True, True, True]


def test_chosen_networks_are_there():
    assert CHOSEN.keys() <= {path.stem for path in (*EVERY, *ROOT.glob("tests/published/*.yaml"))}


def test_a_table_keeps_its_rows_and_their_order():
    assert [row if isinstance(row, int) else row.values for row in rows([1, 2, (3, 4)], quick=[2])] == [(1,), 2, (3, 4)]
    assert [*map(is_thorough, rows([1, 2, (3, 4)], quick=[2]))] == [True, False, True]


@pytest.mark.parametrize(("expression", "count"), [(QUICK, 10), ("", 30), ("thorough", 30)])
def test_random_tests_draw_a_third_without_the_thorough_tests(expression, count):
    loaded = settings.get_current_profile_name()
    try:
        conftest.pytest_configure(SimpleNamespace(option=SimpleNamespace(markexpr=expression)))
        assert examples(30) == count
    finally:
        settings.load_profile(loaded)


def test_all_tests_run_every_week():
    workflow = yaml.safe_load((ROOT / ".github/workflows/latest.yml").read_text(encoding="utf-8"))
    [job] = workflow["jobs"].values()
    assert "schedule" in workflow[True]  # YAML 1.1 takes `on` for a boolean
    assert "make test ALL=1" in job["steps"][-1]["run"]
