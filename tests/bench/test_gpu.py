"""The script for GPUs runs in tiny sizes on the CPU as well."""

import pytest

from tests.bench import gpu


def test_the_distances_of_outputs(capsys):
    assert gpu.main(["--tiny", "--networks", "lenet", "verify"]) == 0
    said = capsys.readouterr().out
    assert "lenet.onnx on cpu: within " in said
    assert "lenet.fp16.onnx on cpu: within " in said
    assert "failed" not in said


def test_what_it_does_not_measure(capsys):
    with pytest.raises(SystemExit):
        gpu.main(["--networks", "lenet,nin", "speed"])
    assert "there is no nin, speed" in capsys.readouterr().err
