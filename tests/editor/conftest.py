"""One server for all tests of the session."""

from collections.abc import Iterator

import pytest

from tests.editor.client import Editor


@pytest.fixture(scope="session")
def started(tmp_path_factory) -> Iterator[Editor]:
    editor = Editor(tmp_path_factory.mktemp("work space"))
    yield editor
    assert editor.end() == 0
    assert not editor.shown


@pytest.fixture
def editor(started) -> Iterator[Editor]:
    yield started
    started.close_all()
