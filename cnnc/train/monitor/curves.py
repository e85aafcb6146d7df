"""Draw `curves.png` and `report.html` in a separate process, so that the training does not wait for them.

Sends epoch records to the process as they arrive; it draws all waiting records at once. The process runs `draw_curves`,
and exits when its stdin closes, also if the training is killed.
"""

import json
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cnnc.processes import start
from cnnc.train.monitor.metrics import EpochRecord

NAME = "curves.png"
PATIENCE = 20.0  # seconds for the last drawing


class Curves:
    """Keeps `folder/curves.png` and `folder/report.html` up to date."""

    def __init__(self, folder: Path, epochs: int) -> None:
        self._path = folder / NAME
        self._process = start(
            "cnnc.train.monitor.draw_curves",
            str(self._path.absolute()),
            str(epochs),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # keeps Ctrl-C from this process, which the training ends
        )

    def add(self, records: Sequence[EpochRecord]) -> None:
        """Add records to the curves and redraw them."""
        assert self._process.stdin is not None  # it is a pipe
        lines = "".join(json.dumps(record.as_json()) + "\n" for record in records)
        with suppress(BrokenPipeError):  # the process has died: `close` reports it
            self._process.stdin.write(lines.encode())
            self._process.stdin.flush()

    def close(self) -> list[str]:
        """Wait for the last drawing; returns an error message of one line for each file that is not up to date."""
        try:
            output, _ = self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return [f"{self._path} is not up to date: drawing it took more than {PATIENCE:.0f} s"]
        if self._process.returncode == 0:
            return []
        failed = f"{self._path} is not up to date: drawing it failed with status {self._process.returncode}"
        return output.decode(errors="replace").splitlines() or [failed]
