"""Sources whose deployments raise, kill their worker, or never come back."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from datagen.evaluation.batch import DeploymentBatch
from datagen.generate.sources import ScenarioSource


@dataclass(frozen=True, kw_only=True)
class BadSource(ScenarioSource):
    """Deployments of a scenario, some of which make trouble.

    Args:
        raising: Rows that raise.
        killing: Rows that kill the process that draws them.
        hanging: Rows that never come back.
        once: Folder of marks by which trouble is made only the first time, or None.
    """

    raising: tuple[int, ...] = ()
    killing: tuple[int, ...] = ()
    hanging: tuple[int, ...] = ()
    once: Path | None = None

    def rows(self, rows: range) -> tuple[DeploymentBatch, list[str]]:
        for row in rows:
            if not self._is_due(row):
                continue
            if row in self.raising:
                raise ArithmeticError(f"row {row} is odd")
            if row in self.killing:
                os.kill(os.getpid(), signal.SIGKILL)
            if row in self.hanging:
                time.sleep(3600)
        return super().rows(rows)

    def _is_due(self, row: int) -> bool:
        if self.once is None or row not in self.raising + self.killing + self.hanging:
            return True
        mark = self.once / str(row)
        if mark.exists():
            return False
        mark.touch()
        return True
