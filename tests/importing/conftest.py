"""A proof without a process of its own, which takes longer to start than a small network takes to run."""

import pytest

from cnnc.files.onnx_header import read_model
from cnnc.inference.session import Session


class Here(Session):
    """What the process of a `Child` runs, in this one."""

    def __init__(self, path, wanted, *, allow_external, timeout):
        super().__init__(read_model(path), wanted, allow_external=allow_external)


@pytest.fixture
def in_this_process(monkeypatch):
    """For many files that do no harm; test_hostile_files and test_refusals prove theirs as users do."""
    monkeypatch.setattr("cnnc.importing.proof.Child", Here)
