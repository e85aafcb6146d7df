"""A folder of pictures, a folder a class."""

import re
import warnings

import numpy as np
import pytest
from PIL import Image

from cnnc.data import examples, folder
from cnnc.data.dataset import DecodedSplit, Files
from cnnc.data.load import load
from cnnc.data.pictures import open_picture
from cnnc.diagnostics import Code


def picture(path, value=0, size=(3, 2), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


@pytest.fixture
def pets(tmp_path):
    """Two cats, three dogs and one of each to test on: the value of a picture tells which it is."""
    for value, name in enumerate(["cat/a", "cat/b", "dog/a", "dog/b", "dog/c"]):
        picture(tmp_path / "pets" / "train" / f"{name}.png", value)
    picture(tmp_path / "pets" / "test" / "dog" / "a.png", 10)
    picture(tmp_path / "pets" / "test" / "cat" / "b.png", 11)
    return tmp_path / "pets"


def values(split):
    return split.images[:, 0, 0, 0].tolist()


def test_pictures_of_one_size_are_decoded_once_in_turns_of_the_classes(pets):
    data = load(pets)
    assert data.classes == ("cat", "dog")
    assert values(data.train) == [0, 2, 1, 3, 4]
    assert data.train.labels.tolist() == [0, 1, 0, 1, 1]
    assert data.train.images.shape == (5, 2, 3, 1)
    assert data.train.images.flags.writeable
    assert values(data.test) == [11, 10]
    assert data.test.labels.tolist() == [0, 1]


def test_a_limit_decodes_no_more_and_holds_every_class(pets):
    (pets / "train" / "dog" / "c.png").write_text("never opened")
    data = load(pets, limit=2)
    assert values(data.train) == [0, 2]
    assert len(data.test) == 2


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_the_test_folder_may_have_another_name(pets, name):
    (pets / "test").rename(pets / name)
    assert len(load(pets).test) == 2


def test_without_a_test_folder_there_is_nothing_to_test_on(pets):
    (pets / "test").rename(pets / "others")
    assert load(pets).test is None


def test_a_coloured_picture_makes_all_coloured(pets):
    picture(pets / "train" / "dog" / "c.png", (1, 2, 3), mode="RGB")
    images = load(pets).train.images
    assert images.shape == (5, 2, 3, 3)
    assert images[1, 0, 0].tolist() == [2, 2, 2]
    assert images[4, 0, 0].tolist() == [1, 2, 3]


def test_pictures_of_unequal_sizes_stay_files(pets):
    picture(pets / "train" / "dog" / "c.jpg", 9, size=(9, 9))
    data = load(pets)
    assert isinstance(data.train, Files)
    assert isinstance(data.test, DecodedSplit)
    assert [path.name for path in data.train.paths] == ["a.png", "a.png", "b.png", "b.png", "c.jpg", "c.png"]
    assert data.train.labels.tolist() == [0, 1, 0, 1, 1, 1]


def test_more_pictures_than_memory_is_spent_on_stay_files(pets, monkeypatch):
    monkeypatch.setattr(folder, "IN_MEMORY", 5 * 6)
    assert isinstance(load(pets, limit=1).train, Files), "the file itself is larger"
    monkeypatch.setattr(folder, "_AT_ONCE", 2)
    size = sum(path.stat().st_size for path in pets.rglob("train/*/*"))
    monkeypatch.setattr(folder, "IN_MEMORY", size)
    assert isinstance(load(pets).train, DecodedSplit)
    for path in pets.rglob("*.png"):
        picture(path, 0, size=(size // 4, 1))
    assert isinstance(load(pets).train, Files)


def test_hidden_and_other_files_are_none(pets):
    for name in (".hidden.png", "notes.txt", ".DS_Store"):
        (pets / "train" / "cat" / name).write_text("no picture")
    (pets / "train" / ".cache").mkdir()
    (pets / "train" / "list.txt").write_text("no class")
    assert len(load(pets).train) == 5


def listed(diagnostic):
    """The pictures that a diagnostic names, as paths within the folder of a data set."""
    return [re.search(r"(?:train|test)/\w+/\w+\.png", each.message)[0] for each in diagnostic.notes]


def spoil(pets, *names):
    for name in names:
        (pets / f"{name}.png").write_text("no picture")


def test_a_broken_picture_is_named_among_good_ones(pets, refused):
    whole = (pets / "train" / "dog" / "b.png").read_bytes()
    (pets / "train" / "dog" / "b.png").write_bytes(whole[:50])
    diagnostic = refused(load, pets)
    assert diagnostic.code is Code.DATA_UNREADABLE
    assert diagnostic.message == f"cannot read 1 of the 7 pictures in {pets}"
    assert f"cannot read the picture {pets}/train/dog/b.png: " in diagnostic.notes[0].message
    assert "replace or remove them" in diagnostic.help


@pytest.mark.parametrize("size", [(3, 2), (9, 9)], ids=["of one size", "of unequal sizes"])
def test_all_broken_pictures_of_all_parts_are_told_at_once(pets, refused, size):
    picture(pets / "train" / "cat" / "a.png", size=size)
    picture(pets / "train" / "cat" / "huge.png", size=(9_000, 9_000))
    spoil(pets, "train/dog/a", "train/dog/c", "test/cat/b")
    diagnostic = refused(load, pets)
    assert diagnostic.message.startswith("cannot read 4 of the 8 pictures")
    assert listed(diagnostic) == ["train/dog/a.png", "train/cat/huge.png", "train/dog/c.png", "test/cat/b.png"]


def test_of_very_many_broken_pictures_some_are_named(pets, refused):
    spoil(pets, *(f"train/cat/x{number:03}" for number in range(120)))
    diagnostic = refused(load, pets)
    assert diagnostic.message.startswith("cannot read 120 of the 127 pictures")
    assert len(diagnostic.notes) == 101
    assert diagnostic.notes[-1].message == "and 20 more"


def test_the_search_for_others_ends(pets, refused, monkeypatch):
    monkeypatch.setattr(folder, "SEARCH", -1.0)
    spoil(pets, "train/cat/a", "test/cat/b")
    assert "cannot read 1 of the 7 pictures (checked 1 of them" in refused(load, pets).message


@pytest.mark.parametrize("room", [folder.IN_MEMORY, 20, 0], ids=["all", "some", "none"])
def test_without_those_that_cannot_be_read_the_others_keep_their_labels(pets, monkeypatch, room):
    monkeypatch.setattr(folder, "IN_MEMORY", room)
    spoil(pets, "train/cat/a", "train/dog/c", "test/dog/a")
    data = load(pets, skip_unreadable=True)
    assert [each.path.relative_to(pets).as_posix() for each in data.train.skipped] == [
        "train/cat/a.png",
        "train/dog/c.png",
    ]
    assert data.train.labels.tolist() == [1, 0, 1]
    assert len(data.test.skipped) == len(data.test) == 1
    if room > 20:
        assert values(data.train) == [2, 1, 3]
    else:
        assert [path.relative_to(pets).as_posix() for path in data.train.paths] == [
            "train/dog/a.png",
            "train/cat/b.png",
            "train/dog/b.png",
        ]
    assert data.classes == ("cat", "dog")


def test_where_none_can_be_read_there_is_nothing_to_go_on_with(pets, refused):
    spoil(pets, "test/dog/a", "test/cat/b")
    assert refused(load, pets, skip_unreadable=True).message == f"cannot read 2 of the 2 pictures in {pets}"


def test_decoding_leaves_the_warnings_filters_as_they_were(pets, monkeypatch):
    def careless(path, _=None):  # what several decoders at once can come to
        warnings.simplefilter("ignore")
        return open_picture(path)

    monkeypatch.setattr(examples, "open_picture", careless)
    before = list(warnings.filters)
    load(pets)
    assert warnings.filters == before


def empty(pets):
    (pets / "train" / "bird").mkdir()
    return "train/bird: the folder contains no pictures"


def unknown(pets):
    picture(pets / "test" / "fish" / "a.png")
    return "test: the class fish is not a class of the training set"


def no_classes(pets):
    (pets / "train").rename(pets / "kept")
    picture(pets / "train" / "a.png")
    return "train: it contains no folders"


def nothing_to_test_on(pets):
    for path in (pets / "test").rglob("*.png"):
        path.unlink()
    return "test: its class folders contain no pictures"


@pytest.mark.parametrize("wrong", [empty, unknown, no_classes, nothing_to_test_on])
def test_what_is_wrong_with_the_folders_is_said(pets, refused, wrong):
    words = wrong(pets)
    diagnostic = refused(load, pets)
    assert diagnostic.code is Code.DATA_UNREADABLE
    assert words in diagnostic.message


def test_the_fingerprint_sees_a_changed_picture(pets):
    before = load(pets)
    picture(pets / "train" / "dog" / "c.png", 77)
    assert load(pets).fingerprint != before.fingerprint
    assert load(pets).test.digest() == before.test.digest()


def test_the_fingerprint_of_files_sees_names_and_sizes(pets):
    picture(pets / "train" / "dog" / "d.png", size=(9, 9))
    first = load(pets).fingerprint
    pets.rename(pets.with_name("moved"))
    moved = pets.with_name("moved")
    assert load(moved).fingerprint == first
    (moved / "train" / "dog" / "d.png").rename(moved / "train" / "dog" / "e.png")
    second = load(moved).fingerprint
    picture(moved / "train" / "dog" / "e.png", size=(99, 99))
    assert len({first, second, load(moved).fingerprint}) == 3
    assert np.array_equal(load(moved).train.labels, [0, 1, 0, 1, 1, 1])
