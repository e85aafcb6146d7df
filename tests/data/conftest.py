"""What the tests of this room share: a tiny data set, and how a refusal is caught."""

import pytest

from cnnc.diagnostics import CnncError
from tests.data.layouts import write_idx


@pytest.fixture
def idx(tmp_path):
    return write_idx(tmp_path / "digits")


@pytest.fixture
def refused():
    """Calls, and gives the one diagnostic of the CnncError that must come."""

    def call(function, *arguments, **keywords):
        with pytest.raises(CnncError) as caught:
            function(*arguments, **keywords)
        (diagnostic,) = caught.value.diagnostics
        return diagnostic

    return call
