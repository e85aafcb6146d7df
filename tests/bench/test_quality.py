"""The measuring of recipes: that each can be trained, what is left out, that it continues, and what its tables say."""

import json

import numpy as np
import pytest
from PIL import Image

from cnnc.data.load import load
from cnnc.language.recipe import Train
from tests import subsets
from tests.bench import quality
from tests.data.layouts import write_idx


def tiny(name, folder):
    """The path of a few random pictures, of the kind that the measure `name` takes."""
    rng = np.random.default_rng(0)
    if name == "scenes":
        for part in ("train", "test"):
            for kind, shape, most in (("images", (64, 64, 3), 256), ("masks", (64, 64), 2)):
                (folder / name / part / kind).mkdir(parents=True)
                pixels = rng.integers(0, most, shape, np.uint8)
                Image.fromarray(pixels).save(folder / name / part / kind / "0.png")
        return folder / name
    pictures, labels = rng.integers(0, 256, (10, 28, 28), np.uint8), np.arange(10)
    np.savez(folder / f"{name}.npz", x_train=pictures, y_train=labels, x_test=pictures, y_test=labels)
    return folder / f"{name}.npz"


@pytest.mark.parametrize("name", quality.MEASURES)
def test_a_recipe_can_be_trained(name, tmp_path):
    data = tiny(name, tmp_path)
    found = quality.score(quality.MEASURES[name], {"data": str(data), "epochs": 1})
    assert 0 <= found["score"] <= 100


def test_each_ingredient_is_left_out_alone():
    recipe = Train(batch=8, lr=0.1, augment=["flip", "crop"], ema=0.9, seed=0)
    assert quality.without(recipe) == {
        "`flip`": {"augment": ["crop"]},
        "`crop`": {"augment": ["flip"]},
        "`ema: 0.9`": {"ema": None},
    }


def test_runs_that_are_done_are_not_repeated(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(quality, "score", lambda measure, given: asked.append(given) or {"score": 50.0})
    monkeypatch.setattr(quality, "data", lambda name, folder: name)
    results = {}
    begun = quality.measure("fashion", tmp_path, results)
    for _ in range(7):
        next(begun)
    results = json.loads(json.dumps(results))
    rest = [*quality.measure("fashion", tmp_path, results)]
    assert len(asked) == 7 + len(rest) == len({json.dumps(each) for each in asked})
    assert [*quality.measure("fashion", tmp_path, results)] == []
    assert asked[:2] == [{"data": "fashion", "seed": 0}, {"data": "fashion", "seed": 1}]

    results["fashion"]["about"]["recipe"]["lr"] = 77.0
    assert "seed 0" in next(quality.measure("fashion", tmp_path, results)), "a recipe that changes is measured again"


def test_the_figures_of_the_reference_are_of_the_recipes_as_they_are():
    measured = json.loads(quality.MEASURED.read_text())
    for name, found in measured.items():
        assert found["about"] == quality.MEASURES[name].about(), f"measure {name} again"
        assert len(found["runs"][""]) == quality.MEASURES[name].seeds


def test_the_tables_have_means_and_deviations():
    about = {"recipe": {"epochs": 4}, "parameters": 1234}
    runs = {str(seed): {"score": 90.0 + seed, "cpu_seconds": 10.0} for seed in range(5)}
    less = {str(seed): {"score": 89.0 + seed, "cpu_seconds": 10.0} for seed in range(3)}
    results = {
        "digits": {"about": about, "runs": {"": runs, "`flip`": less}},
        "scenes": {"about": about, "runs": {"": runs}},
    }
    first = quality.recipes(results).splitlines()[2]
    assert first == "| digits | [resnet_digits.yaml](resnet_digits.yaml) | 1,234 | 4 | 10 s | 5 | 92.00 ± 1.58 | acc |"
    assert quality.ablations(results).splitlines()[2:] == ["| – | 92.00 ± 1.58 |", "| `flip` | 90.00 ± 1.00 (−1.00) |"]


def test_a_subset_is_the_beginning_of_a_part(tmp_path):
    source = write_idx(tmp_path / "all", train=20, test=10)
    with pytest.raises(SystemExit, match="has other pictures than those measured") as refused:
        subsets.write(subsets.Subset("mnist", "test", 6, 3, "-"), tmp_path / "some", source)
    assert not (tmp_path / "some").exists()
    digest = str(refused.value).split()[-3].rstrip(",")
    subsets.write(subsets.Subset("mnist", "test", 6, 3, digest), tmp_path / "some", source)
    whole, some = load(source), load(tmp_path / "some")
    for part, kept in ((some.train, slice(6)), (some.test, slice(6, 9))):
        assert part.labels.tolist() == whole.test.labels[kept].tolist()
        assert (part.images == whole.test.images[kept]).all()
    assert some.classes == tuple("0123456789")
