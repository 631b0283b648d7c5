"""Fronts against their definition."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from surrogate.optimizers.front import MOST_POINTS, Front, crowding, nondominated
from surrogate.optimizers.goal import EXCEEDED, UNSTABLE

points = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=12)


@given(points)
def test_nondominated_is_its_definition(rows: list[tuple[int, ...]]) -> None:
    flags = nondominated(np.array(rows, dtype=float))
    for row, flag in zip(rows, flags, strict=True):
        beaten = any(
            other != row and all(a <= b for a, b in zip(other, row, strict=True)) for other in rows
        )
        assert flag == (not beaten)


@given(points, st.integers(1, 5))
def test_a_front_does_not_depend_on_batches(rows: list[tuple[int, ...]], size: int) -> None:
    values = np.array(rows, dtype=float)
    placements = np.arange(len(rows), dtype=np.int32)[:, None]
    whole, parts = Front(1, 3), Front(1, 3)
    whole.add(placements, values)
    for start in range(0, len(rows), size):
        parts.add(placements[start : start + size], values[start : start + size])
    best = np.flatnonzero(nondominated(values))
    first = {tuple(values[row]): row for row in best[::-1].tolist()}
    assert set(whole.placements[:, 0].tolist()) == set(first.values())
    assert set(whole.placements[:, 0].tolist()) == set(parts.placements[:, 0].tolist())


def test_what_breaks_a_rule_is_on_no_front() -> None:
    front = Front(1, 2)
    front.add(np.array([[0], [1]], dtype=np.int32), np.array([[EXCEEDED, 0.0], [0.0, UNSTABLE]]))
    assert len(front.values) == 0
    assert front.spread(5).shape == (0, 1)


def test_a_full_front_keeps_its_ends_and_its_spread() -> None:
    count = 3 * MOST_POINTS
    share = np.linspace(0.0, 1.0, count) ** 3  # dense at one end
    front = Front(1, 2)
    front.add(np.arange(count, dtype=np.int32)[:, None], np.stack([share, 1 - share], axis=1))
    kept = np.sort(front.values[:, 0])
    assert len(kept) == MOST_POINTS
    assert (kept[0], kept[-1]) == (0.0, 1.0)
    even = np.sort(share[:: count // MOST_POINTS])
    assert np.diff(kept).max() < 2 * np.diff(even).max()
    spread = front.spread(7)
    assert len(spread) == 7
    assert spread[[0, -1], 0].tolist() == [0, count - 1]


def test_crowding_of_three_points() -> None:
    values = np.array([[0.0, 4.0], [1.0, 1.0], [4.0, 0.0]])
    assert crowding(values).tolist() == [np.inf, 2.0, np.inf]


def test_placements_of_one_value_are_one_point() -> None:
    front = Front(1, 2)
    rounded = 0.3 * (1.0 + 1e-9)
    values = np.array([[0.3, 2.0], [0.4, 1.0], [rounded, 2.0], [0.3, 2.0 - 1e-9]])
    front.add(np.arange(4, dtype=np.int32)[:, None], values)
    assert sorted(front.values[:, 1].round(3).tolist()) == [1.0, 2.0]
    told_apart = np.array([[0.301, 1.99]])
    front.add(np.array([[9]], dtype=np.int32), told_apart)
    assert len(front.values) == 3
