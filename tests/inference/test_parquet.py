"""A Parquet file of results, and the rows beside it while it is written."""

import pytest

from cnnc.diagnostics import CnncError, Code
from cnnc.inference import parquet as module
from cnnc.inference.parquet import ParquetFile
from cnnc.inference.results import Failed, Prediction, Result
from cnnc.inference.rows import table_columns

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

PICTURES = ("a.png", "b.png", "broken.png", "c.png", "d.png")


def result(name):
    if name == "broken.png":
        return Failed(name, CnncError.of(Code.PICTURE_UNREADABLE, "it is empty"))
    return Result(name, (Prediction(1, "boot", 1 / 3), Prediction(0, None, 0.25)), "cpu", 1.25)


def write(path, pictures=PICTURES, *, ranks=2, finish=True, **how):
    with ParquetFile(path, table_columns(ranks), **how) as file:
        missing = [*file.missing(pictures)]
        for name in missing:
            file.write(result(name))
        if finish:
            file.finish()
    return missing


@pytest.fixture
def path(tmp_path):
    return tmp_path / "r.parquet"


def images(path):
    return parquet.read_table(path).column("image").to_pylist()


def beside(path):
    return sorted(each.name for each in path.parent.iterdir())


def test_the_table_has_types_and_row_groups(path, monkeypatch):
    monkeypatch.setattr(module, "GROUP", 2)
    write(path)
    with parquet.ParquetFile(path) as file:
        assert [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)][:2] == [2, 2]
        schema = file.schema_arrow
    kinds = {name: str(schema.field(name).type) for name in ("image", "index_1", "label_2", "score_2", "error")}
    assert kinds == {"image": "string", "index_1": "int64", "label_2": "string", "score_2": "double", "error": "string"}
    rows = parquet.read_table(path).to_pylist()
    assert [row["image"] for row in rows] == [*PICTURES]
    assert (rows[0]["score_1"], rows[0]["label_2"], rows[0]["error"]) == (1 / 3, None, None)
    assert (rows[2]["score_1"], rows[2]["error"]) == (None, "E503: it is empty")
    assert beside(path) == ["r.parquet"]


def test_without_pictures_it_is_an_empty_table(path):
    write(path, ())
    assert images(path) == []


def test_a_run_that_was_cut_off_left_its_rows_and_is_continued(path):
    write(path, PICTURES[:3], finish=False)
    assert beside(path) == ["r.parquet.rows"]
    with pytest.raises(CnncError, match=r"r\.parquet\.rows: the file exists"):
        ParquetFile(path, table_columns(2))
    assert write(path, resume=True) == ["c.png", "d.png"]
    assert images(path) == [*PICTURES]
    assert beside(path) == ["r.parquet"]


def test_a_complete_file_takes_more_pictures(path):
    write(path, PICTURES[:2])
    with pytest.raises(CnncError, match=r"r\.parquet: the file exists"):
        ParquetFile(path, table_columns(2))
    with ParquetFile(path, table_columns(2), resume=True) as file:
        assert (file.held, file.failed) == (2, 0)
    assert write(path, resume=True) == ["broken.png", "c.png", "d.png"]
    assert images(path) == [*PICTURES]


def test_a_kill_between_the_last_two_steps_leaves_both_files(path):
    write(path, finish=False)
    rows = path.with_name("r.parquet.rows").read_bytes()
    write(path, resume=True)
    path.with_name("r.parquet.rows").write_bytes(rows)
    assert write(path, resume=True) == []
    assert images(path) == [*PICTURES]
    assert beside(path) == ["r.parquet"]


@pytest.mark.parametrize("before", ["complete", "cut off"])
def test_overwriting_starts_anew(path, before):
    write(path, PICTURES[:1], finish=before == "complete")
    assert write(path, PICTURES[1:2], overwrite=True) == ["b.png"]
    assert images(path) == ["b.png"]


def test_a_file_of_something_else_is_left_as_it_is(path):
    write(path, ranks=1)
    other = path.read_bytes()
    for content in (other, b"no parquet"):
        path.write_bytes(content)
        with pytest.raises(CnncError, match="cannot continue") as caught:
            ParquetFile(path, table_columns(2), resume=True)
        assert caught.value.diagnostics[0].code == Code.NOT_WRITTEN
        assert path.read_bytes() == content
        assert beside(path) == ["r.parquet"]


def test_a_folder_is_no_file(path):
    path.mkdir()
    with pytest.raises(CnncError, match="it is a folder"):
        ParquetFile(path, table_columns(2), overwrite=True)


def test_a_link_stays(path):
    path.symlink_to(path.parent / "real.parquet")
    write(path)
    assert path.is_symlink()
    assert images(path) == [*PICTURES]
    write(path, overwrite=True)
    assert path.is_symlink()
