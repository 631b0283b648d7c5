from __future__ import annotations

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
