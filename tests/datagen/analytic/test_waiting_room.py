from __future__ import annotations

import numpy as np
import pytest

from datagen.analytic.waiting_room import UNLIMITED_ROOM, log_load, room_loss, room_waiting

BLOCKING = np.asarray(0.3)


def test_log_load_stays_off_the_singular_points() -> None:
    value = log_load([0.0, 1.0, 1.0 - 1e-15, np.inf])
    assert np.all(np.isfinite(value))
    assert np.all(value != 0.0)


@pytest.mark.parametrize("load", [0.2, 0.97, 1.0, 1.02, 3.0])
@pytest.mark.parametrize("room", [0, 1, 2, 13])
def test_whole_rooms_are_geometric_sums(load: float, room: int) -> None:
    weights = np.concatenate([[1.0], BLOCKING * load ** np.arange(1, room + 1)])
    log, size = log_load(load), np.asarray(float(room))
    last = weights[-1] if room else BLOCKING
    assert room_loss(log, BLOCKING, size) == pytest.approx(last / weights.sum(), rel=1e-10)
    waiting = np.arange(room + 1) @ weights / weights.sum()
    assert room_waiting(log, BLOCKING, size) == pytest.approx(waiting, rel=1e-10, abs=1e-9)


def test_fractional_rooms_lie_between_whole_ones() -> None:
    rooms = np.linspace(0.0, 6.0, 601)
    for load in (0.01, 0.6, 1.0, 1.6, 10.0):
        blocking = np.asarray(load / (1.0 + load))
        assert np.all(np.diff(room_loss(log_load(load), blocking, rooms)) < 0)
        assert np.all(np.diff(room_waiting(log_load(load), blocking, rooms)) > 0)


def test_both_branches_of_the_mean_place_meet() -> None:
    # The series is used where |room log(load)| < 1/2; step over that border closely.
    for sign in (-1.0, 1.0):
        edge = sign * 0.5 / 7.0
        log = np.array([edge * (1 - 1e-9), edge * (1 + 1e-9)])
        below, above = room_waiting(log, BLOCKING, np.full(2, 7.0))
        assert below == pytest.approx(above, rel=1e-8)


def test_extremes_stay_finite_and_at_their_limits() -> None:
    load = np.array([1e-12, 1e-3, 0.999, 1.0, 1.001, 1e3, 1e12])
    blocking = load / (1.0 + load)
    for room in (0.0, 1e-12, 1.0, 1e3, UNLIMITED_ROOM):
        size = np.full(load.shape, room)
        loss = room_loss(log_load(load), blocking, size)
        assert np.all((loss >= np.maximum(0.0, 1.0 - 1.0 / load) - 1e-15) & (loss < 1.0))
        waiting = room_waiting(log_load(load), blocking, size)
        assert np.all((waiting >= 0.0) & (waiting <= max(room, 1e-9)))
    tiny = room_loss(log_load(1e-12), np.asarray(0.0), np.asarray(UNLIMITED_ROOM))
    assert tiny == 0.0
