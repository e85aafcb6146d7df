"""The table of targets is whole, and as light as the command line needs it."""

import subprocess
import sys

from cnnc.targets.choices import DEFAULTS, OPSET, OPSETS, Target
from cnnc.targets.registry import TABLE


def test_every_target_has_a_row_with_an_ending_of_its_own():
    assert list(TABLE) == list(Target)
    assert len({row.ending for row in TABLE.values()}) == len(TABLE)


def test_what_is_taken_where_nothing_is_said_is_there():
    assert set(DEFAULTS) <= set(TABLE)
    assert OPSET in OPSETS


def test_the_table_is_light():
    program = (
        "import sys, cnnc.targets.registry; print(sorted({'torch', 'onnx', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
