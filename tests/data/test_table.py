"""Data sets in CSV files: a row a picture, its labels in the columns."""

import pytest
from PIL import Image

from cnnc.data.dataset import IGNORED, Labelling
from cnnc.data.load import load
from cnnc.diagnostics import CnncError

SEVERAL, NUMBERS, MASKS = (Labelling(kind) for kind in ("probabilities", "vector", "segmentation"))


@pytest.fixture
def table(tmp_path):
    """Writes a CSV file beside pictures 0.png to 4.png, whose value is their number, and their masks."""
    for number in range(5):
        Image.new("L", (3, 2), number).save(tmp_path / f"{number}.png")
        mask = Image.new("P", (3, 2), number % 2)
        mask.putpixel((2, 1), IGNORED)
        mask.putpalette([9] * 768)
        mask.save(tmp_path / f"m{number}.png")

    def write(text, name="set.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def rows(*cells):
    return "".join(f"{number}.png,{each}\n" for number, each in enumerate(cells))


def test_classes_are_names_or_numbers(table):
    data = load(table("path,label\n" + rows("dog", "cat", "dog")))
    assert data.classes == ("cat", "dog")
    assert data.train.labels.tolist() == [1, 0, 1]
    assert data.train.images[:, 0, 0, 0].tolist() == [0, 1, 2]
    numbers = load(table("label;file\n3;1.png\n\n0;2.png\n"))
    assert (numbers.classes, numbers.train.labels.tolist(), numbers.num_classes) == (None, [3, 0], 4)
    every = load(table("label,path\n" + "".join(f"{label},1.png\n" for label in range(256))))
    assert every.num_classes == 256  # 255 is a class here, though not in a mask
    odd = "a\x85b.png"  # a character at which Python, but no CSV file, begins a line
    (table("x").parent / "1.png").rename(table("x").parent / odd)
    assert len(load(table(f"path,label\n{odd},0\n2.png,1\n")).train.labels) == 2
    (table("x").parent / odd).rename(table("x").parent / "1.png")
    known = Labelling("classes", 3, ("dog", "cat", "bird"))
    assert load(table("path,label\n" + rows("dog", "cat")), target=known).train.labels.tolist() == [0, 1]


def test_a_column_or_files_of_their_own_say_what_to_test_on(table):
    data = load(table("path,label,split\n" + rows("a,train", "b,test", "b,train", "a,val")))
    assert (data.train.labels.tolist(), data.test.labels.tolist()) == ([0, 1], [1, 0])
    folder = table("path,label\n" + rows("b", "a"), "train.csv").parent
    table("path,label\n" + rows("a"), "val.csv")
    data = load(folder)
    assert (data.train.labels.tolist(), data.test.labels.tolist()) == ([1, 0], [0])


def test_several_labels_are_a_list_or_a_column_each(table):
    listed = load(table("path,labels\n" + rows("sky sea", "", "sea|tree;sky")), target=SEVERAL)
    columns = load(table("path,sea,sky,tree\n" + rows("1,1,0", "0,0,0", "1,1,1")), target=SEVERAL)
    assert listed.classes == columns.classes == ("sea", "sky", "tree")
    assert listed.train.labels.tolist() == columns.train.labels.tolist() == [[1, 1, 0], [0, 0, 0], [1, 1, 1]]
    one = load(table("path,label\n" + rows("b", "a")), target=Labelling("probabilities", 2, ("a", "b")))
    assert one.train.labels.tolist() == [[0, 1], [1, 0]]


def test_numbers_and_masks(table):
    data = load(table("image,x,y\n" + rows("0.5,-1e3", "2,3")), target=NUMBERS)
    assert (data.classes, data.train.labels.tolist()) == (("x", "y"), [[0.5, -1000], [2, 3]])
    masks = load(table("path,mask\n" + rows("m0.png", "m1.png", "m2.png")), target=MASKS)
    assert masks.train.labels[:, 0, 0].tolist() == [0, 1, 0]
    assert masks.train.labels[1].tolist() == [[1, 1, 1], [1, 1, IGNORED]]
    held = load(table("path,mask\n" + rows("m0.png", "m1.png", "m2.png")), target=MASKS, val_split=0.4)
    assert (len(held.train), len(held.test)) == (2, 1)


WRONG = {
    "no rows": ("path,label\n", Labelling(), "it has no rows below the names of the columns"),
    "no path": ("name,label\n" + rows("a"), Labelling(), "the column `path` or `file` or `filename` or `image` is"),
    "no label": ("path,kind,colour\n" + rows("a,b"), Labelling(), "the column `label` or `class` is missing"),
    "twice": ("path,label,label\n" + rows("a,b"), Labelling(), "two columns are named `label`"),
    "cells": ("path,label\n0.png,a,b\n", Labelling(), "row 2 has 3 cells, but there are 2 columns"),
    "unknown": (
        "path,label\n" + rows("cat", "dgo"),
        Labelling("classes", 2, ("cat", "dog")),
        "row 3, column `label`: unknown label 'dgo'; did you mean 'dog'?",
    ),
    "unknown in tests": (
        "path,label,split\n" + rows("a,train", "c,test"),
        Labelling(),
        "row 3, column `label`: unknown label 'c'",
    ),
    "no number of a class": (
        "path,label,split\n" + rows("1,train", "c,test"),
        Labelling(),
        "row 3, column `label`: expected the number of a class, got 'c'",
    ),
    "empty": ("path,label\n" + rows("a", ""), Labelling(), "row 3, column `label`: the label is empty"),
    "split": ("path,label,split\n" + rows("a,tset"), Labelling(), "row 2, column `split`: expected train or test"),
    "no training": ("path,label,split\n" + rows("a,test"), Labelling(), "it has no rows for training"),
    "number": ("path,x\n" + rows("1", "one"), NUMBERS, "row 3, column `x`: expected a number, got 'one'"),
    "infinite": ("path,x\n" + rows("1e99"), NUMBERS, "row 2, column `x`: expected a number, got '1e99'"),
    "flag": ("path,a\n" + rows("0", "2"), SEVERAL, "row 3, column `a`: expected 0 or 1, got '2'"),
    "columns of labels": (
        "path,a\n" + rows("0"),
        Labelling("probabilities", 2, ("a", "b")),
        "the column `b` is missing; there are `a`",
    ),
    "masks": ("path,label\n" + rows("a"), MASKS, "the column `mask` is missing"),
    "latin": (b"path,label\n0.png,\xe9\n", Labelling(), "it is not UTF-8 text: byte 17"),
    "quotes": ('path,label\n0.png,"a\n', Labelling(), "unexpected end of data"),
}


@pytest.mark.parametrize(("text", "labelling", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_table_is_refused_with_its_row_and_column(table, text, labelling, words):
    path = table("")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CnncError) as caught:
        load(path, target=labelling)
    (found,) = caught.value.diagnostics
    assert found.code.value == "E508"
    assert f"{found.message}; {found.help}".startswith(f"cannot read the data {path}: {words}")


def test_missing_files_are_listed_with_their_rows(table):
    path = table("path,mask\n" + rows("m0.png", "gone.png") + "9.png,m1.png\n,m1.png\n")
    with pytest.raises(CnncError) as caught:
        load(path, target=MASKS)
    (found,) = caught.value.diagnostics
    assert found.message == f"2 of the 4 files in the column `path` of {path} do not exist"
    assert [each.message for each in found.notes] == ["row 4: 9.png", "row 5: empty"]


def test_a_mask_must_have_the_size_of_its_picture_and_known_classes(table):
    path = table("path,mask\n" + rows("m0.png", "m1.png"))
    with pytest.raises(CnncError, match=r"E510.*the mask .*m1.png has the class 1 at row 0, column 0, but .* 0 to 0"):
        load(path, target=Labelling("segmentation", 1))
    Image.new("L", (4, 4)).save(path.with_name("m1.png"))
    with pytest.raises(CnncError, match=r"the mask .*m1.png is 4 × 4 \(height × width\), but the picture .* is 2 × 3"):
        load(path, target=MASKS, skip_unreadable=True)
