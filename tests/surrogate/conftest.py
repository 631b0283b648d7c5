"""Fixtures of the tests of surrogates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.surrogate.cases import random_deployments, write_dataset


@pytest.fixture(autouse=True)
def _settings_of_torch() -> Iterator[None]:
    """One thread: sums in one order, no core taken from neighbours; commands change it."""
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a labelled data set of 60 deployments."""
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", random_deployments(60, seed=41))
