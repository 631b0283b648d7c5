"""Benchmarks are scripts beside each other: tests find them as they find one another."""

from __future__ import annotations

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
