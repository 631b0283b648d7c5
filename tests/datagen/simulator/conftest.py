"""Fixtures of the simulator's tests."""

from __future__ import annotations

import pytest

from datagen.simulator.engine import Engine
from tests.datagen.simulator.systems import ENGINES


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.name)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn."""
    return request.param
