"""Settings and fixtures that every test may use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
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


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder like the clone's, with nothing to spoil, as working directory and import path."""
    import torch

    from surrogate.optimizers import proof, reconfiguration
    from surrogate.policies import price_tables

    for folder in ("configs", "examples", "checkpoints"):
        (tmp_path / folder).symlink_to(REPOSITORY / folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(proof, "SELECTION_EVENTS", 3e4)
    monkeypatch.setattr(proof, "VERIFICATION_EVENTS", 2e5)
    monkeypatch.setattr(reconfiguration, "PHASE_REQUESTS", 2e3)
    monkeypatch.setattr(price_tables, "LOADS", price_tables.LOADS[::6])
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    known, threads = set(sys.modules), torch.get_num_threads()
    precision = torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)
    for module in set(sys.modules) - known:
        home = getattr(sys.modules[module], "__file__", None)
        if home is not None and Path(home).is_relative_to(tmp_path):
            del sys.modules[module]
