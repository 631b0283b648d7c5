from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from datagen.generate import generate
from tests.datagen.generate.campaigns import CONFIG, ROWS, SEED


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The campaign, run in one process without trouble."""
    folder = tmp_path_factory.mktemp("campaign") / "whole"
    generate(folder, CONFIG, num=ROWS, seed=SEED)
    return folder


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_left_behind() -> Iterator[None]:
    """Collect what the processes and connections of a module left, while it can be blamed.

    A socket or a child process that nobody closed warns when it is collected, which is an error in
    whatever test happens to run then, of another module as a rule.
    """
    yield
    gc.collect()
