"""What moves cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datagen.deployment import Deployment, Link
from datagen.errors import InvalidInputError, NotSupportedError
from surrogate.optimizers import PlacementSpace
from surrogate.optimizers.migration import Migration, Move, Outage
from tests.surrogate.optimizers.problems import UNIT, poor_start, small_problem


@pytest.fixture
def migration() -> Migration:
    problem = replace(
        small_problem(),
        links=(
            Link(source="d3", target="d0", bandwidth=UNIT / 10, latency=0.5),
            Link(source="d2", target="d0", bandwidth=1e3 * UNIT, latency=0.1),
        ),
    )
    return Migration(PlacementSpace(poor_start(problem)), bandwidth=UNIT)


def moved(migration: Migration, **slots: int) -> np.ndarray:
    row = migration.start.copy()
    for slot, device in slots.items():
        row[int(slot.removeprefix("s"))] = device
    return row


def test_bytes_and_requests_add_up(migration: Migration) -> None:
    # Slot 0: c0.f0, one unit over the slow line; slot 3: c1.f0 of two units over the fast one,
    # where the bandwidth of moves is less; slot 7: c2.f1 of two units without a line.
    row = moved(migration, s0=0, s3=0, s7=1)
    assert migration.bytes(row[None])[0] == 5 * UNIT
    seconds = (10.5, 2.1, 2.0)
    assert [move.seconds for move in migration.moves(row)] == pytest.approx(seconds)
    rates = (1.6, 1.2, 0.9)
    expected = sum(rate * time for rate, time in zip(rates, seconds, strict=True))
    assert migration.refused(row[None])[0] == pytest.approx(expected)
    assert migration.moves(row)[1] == Move(
        chain="c1", fragment="f0", source="d2", target="d0", bytes=2 * UNIT, seconds=2.1
    )


def test_a_chain_is_away_for_all_of_its_moves_and_for_no_others(migration: Migration) -> None:
    row = moved(migration, s0=0, s2=1, s7=1)
    first, second = migration.outages(row)
    assert first == Outage(chain="c0", start=0.0, end=pytest.approx(10.5 + 1.0))
    assert second == Outage(chain="c2", start=first.end, end=pytest.approx(first.end + 2.0))
    away = sum(
        rate * (outage.end - outage.start)
        for rate, outage in zip((1.6, 0.9), (first, second), strict=True)
    )
    assert migration.refused(row[None])[0] == pytest.approx(away)


def test_staying_costs_nothing(migration: Migration) -> None:
    row = migration.start
    assert migration.bytes(row[None])[0] == migration.refused(row[None])[0] == 0
    assert migration.moves(row) == migration.outages(row) == ()


def test_what_cannot_be_costed_is_refused() -> None:
    chain = replace(small_problem(allowed=False).chains[0], name="c")
    problem = replace(small_problem(), chains=(chain,))
    paths = {"c": (("d0", "d0", "d0"), ("d1", "d1", "d1"))}
    base = Deployment(problem=problem, placement=paths, routing={"c": (0.5, 0.5)})
    with pytest.raises(NotSupportedError, match=r"c\.placement with 2 paths"):
        Migration(PlacementSpace(base), bandwidth=1.0)
    with pytest.raises(InvalidInputError, match="bandwidth must be > 0"):
        Migration(PlacementSpace(poor_start(small_problem())), bandwidth=0.0)
