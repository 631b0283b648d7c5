"""Settings and fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent

# Derandomized: a run differs from the one before only where the code does. No deadline: the first
# example of many tests compiles a kernel.
settings.register_profile("repository", deadline=None, derandomize=True, database=None)
settings.load_profile("repository")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is not None:
        torch = pytest.importorskip("torch")
        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device, and torch finds none")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the clone the tests run in."""
    return REPOSITORY


@pytest.fixture(scope="session")
def public_data() -> Path:
    """The folder of public data sets; tests that need it are skipped where it is absent."""
    named = os.environ.get("EDGE_SURROGATE_DATA", "../shared/data")
    folder = (REPOSITORY / named).resolve()
    if not folder.is_dir():
        pytest.skip(f"public data are absent: EDGE_SURROGATE_DATA={named} is no folder")
    return folder
