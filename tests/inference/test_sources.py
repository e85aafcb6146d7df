"""Pictures are found in files, folders and lists, in an order that depends on names alone."""

import inspect
import os
import sys
from io import BytesIO

import pytest

from cnnc.diagnostics import CnncError, Code
from cnnc.inference.results import Failed
from cnnc.inference.sources import LONGEST, find_pictures, read_paths


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def shown(folder, **options):
    found = find_pictures([folder], **options)
    return [os.path.relpath(each.image if isinstance(each, Failed) else each, folder) for each in found]


@pytest.fixture
def tree(tmp_path):
    return touch(
        tmp_path / "t", "z.png", "a.JPG", "notes.txt", ".hidden.png", "b/2.png", "b/1.webp", "b/c/3.tif", ".git/4.png"
    )


def test_a_folder_is_its_pictures_by_name(tree):
    assert shown(tree) == ["a.JPG", "z.png"]


def test_subfolders_come_after_the_pictures_beside_them(tree):
    expected = ["a.JPG", "z.png", os.path.join("b", "1.webp"), os.path.join("b", "2.png"), os.path.join("b/c", "3.tif")]
    assert shown(tree, recursive=True) == expected


def test_a_file_is_a_picture_whatever_its_name(tree):
    assert [*find_pictures([tree / "notes.txt", "missing"])] == [str(tree / "notes.txt"), "missing"]


def test_a_folder_that_looks_like_a_picture_is_a_folder(tmp_path):
    touch(tmp_path, "a.png/b.png", "c.png")
    assert shown(tmp_path) == ["c.png"]
    assert shown(tmp_path, recursive=True) == ["c.png", os.path.join("a.png", "b.png")]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a permission there")
def test_links_to_folders_are_not_followed(tree):
    (tree / "b" / "up").symlink_to(tree)
    assert len(shown(tree, recursive=True)) == 5
    (tree / "b" / "same.png").symlink_to(tree / "z.png")
    assert len(shown(tree, recursive=True)) == 6


def test_folders_nested_deeper_than_calls(tmp_path):
    deep = tmp_path.joinpath(*["d"] * 300)
    touch(deep, "p.png")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 150)
    try:
        found = [*find_pictures([tmp_path], recursive=True)]
    finally:
        sys.setrecursionlimit(limit)
    assert found == [str(deep / "p.png")]


def test_a_folder_without_pictures_is_an_error_of_it_alone(tree):
    touch(tree, "empty/notes.txt")
    first, second = find_pictures([tree / "empty", tree / "a.JPG"])
    assert isinstance(first, Failed)
    assert first.error.diagnostics[0].code == Code.PICTURE_UNREADABLE
    assert "--recursive" in first.error.diagnostics[0].help
    assert second == str(tree / "a.JPG")
    (only,) = find_pictures([tree / "empty"], recursive=True)
    assert "--recursive" not in only.error.diagnostics[0].help


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="this user may read every folder")
def test_a_subfolder_that_may_not_be_read(tree):
    (tree / "b").chmod(0)
    try:
        *_, last = find_pictures([tree], recursive=True)
    finally:
        (tree / "b").chmod(0o700)
    assert isinstance(last, Failed)


@pytest.mark.parametrize(
    ("text", "end", "expected"),
    [
        (b"a.png\nb c.png\n", b"\n", ["a.png", "b c.png"]),
        (b"a.png\r\n\r\n\nb.png", b"\n", ["a.png", "b.png"]),
        (b"a\nb.png\0\0 c.png\r\0", b"\0", ["a\nb.png", " c.png\r"]),
        (b"", b"\n", []),
        (b"\xff.png\n", b"\n", [os.fsdecode(b"\xff.png")]),
    ],
)
def test_lists_of_paths(text, end, expected):
    assert [*read_paths(BytesIO(text), end)] == expected


def test_long_lists_are_read_in_pieces():
    names = [f"{number:0100}.png" for number in range(5000)]
    assert [*read_paths(BytesIO("\n".join(names).encode()))] == names


def test_a_path_comes_before_the_next_one_is_written():
    read, write = os.pipe()
    with open(read, "rb") as stream, open(write, "wb", buffering=0) as writer:
        paths = read_paths(stream)
        for name in (b"a.png", b"b.png"):
            writer.write(name + b"\n")
            assert next(paths) == name.decode()


def test_what_is_no_list():
    with pytest.raises(CnncError, match="not a list of paths"):
        list(read_paths(BytesIO(bytes(LONGEST + 2))))
