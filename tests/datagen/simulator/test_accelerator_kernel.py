"""The compiled loop's own affairs at accelerators: nothing strays when everything has to grow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BOUNDS_CHECKED = """
from datagen.simulator import numba_engine
numba_engine._FIRST_SLOTS, numba_engine._FIRST_LOG, numba_engine._CHUNK = 2, 2, 32
numba_engine._SMALLEST_CHUNK = 2
import numba
from tests.datagen.simulator.systems import same_bits
from tests.datagen.simulator.test_accelerators_agree import played
assert numba.config.BOUNDSCHECK
for number in range(120):
    same_bits(*played(number))
"""


@pytest.mark.slow
def test_no_index_strays(repository: Path) -> None:
    # In a process of its own: the flag is read when numba is imported.
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1"}
    command = [sys.executable, "-c", BOUNDS_CHECKED]
    subprocess.run(command, cwd=repository, env=environment, check=True)
