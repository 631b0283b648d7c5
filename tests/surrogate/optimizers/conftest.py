"""Settings of the tests of searches."""

from __future__ import annotations

import pytest

from surrogate.optimizers import proof
from tests.surrogate.optimizers.problems import short_proof


@pytest.fixture(autouse=True)
def _short_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SELECTION_EVENTS", "VERIFICATION_EVENTS"):
        monkeypatch.setattr(proof, name, getattr(proof, name))
    short_proof()
