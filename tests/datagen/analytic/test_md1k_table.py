from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from datagen.analytic.md1k_table import MD1KTable, table


@pytest.fixture(scope="module")
def grid() -> MD1KTable:
    return table()


def test_import_builds_nothing() -> None:
    code = (
        "import datagen.analytic\n"
        "from datagen.analytic.md1k_table import table\n"
        "assert table.cache_info().currsize == 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_is_built_once_in_less_than_a_second(grid: MD1KTable) -> None:
    assert table() is grid
    start = time.perf_counter()
    table.__wrapped__()
    assert time.perf_counter() - start < 1.0


def test_axes_are_what_the_look_up_assumes(grid: MD1KTable) -> None:
    shape = (grid.log_load.size, grid.inverse_capacity.size)
    assert grid.room_ratio.shape == grid.waiting_ratio.shape == shape
    np.testing.assert_allclose(np.diff(grid.log_load), 0.05, rtol=1e-10)
    assert grid.inverse_capacity[0] == 0.0
    assert grid.inverse_capacity[-1] == 0.5
    assert np.all(np.diff(grid.inverse_capacity) > 0)


def test_arrays_are_read_only(grid: MD1KTable) -> None:
    for array in (grid.log_load, grid.inverse_capacity, grid.room_ratio, grid.waiting_ratio):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


def test_ratios_are_of_order_one_and_smooth(grid: MD1KTable) -> None:
    assert np.all(grid.room_ratio > 1.0)
    assert np.all((grid.waiting_ratio > 0.0) & (grid.waiting_ratio < 0.5 + 1e-9))
    assert np.all(np.diff(grid.room_ratio, axis=0) > 0)
    assert np.all(np.diff(grid.room_ratio, axis=1) < 1e-9)
    assert np.abs(np.diff(np.log(grid.room_ratio), 2, axis=0)).max() < 2e-3


def test_heavy_traffic_limit(grid: MD1KTable) -> None:
    # Diffusion: a queue of scv 0 is an exponential one with twice the room and half the line.
    row = int(np.argmin(np.abs(grid.log_load)))
    assert grid.room_ratio[row, 0] == pytest.approx(2.0, rel=1e-9)
    assert grid.room_ratio[row, 1] == pytest.approx(2.0, rel=2e-3)
    assert grid.waiting_ratio[row, 0] == pytest.approx(0.5, rel=1e-9)


def test_two_places_in_closed_form(grid: MD1KTable) -> None:
    # M/D/1/2: p0/p2 = e^-load / (e^-load - 1 + load) = load^-(1 + room).
    load = np.exp(grid.log_load)
    away = np.abs(grid.log_load) > 1e-3
    clear = away & (load > 1e-2)
    load = load[clear]
    room = -np.log(np.exp(-load) / (np.expm1(-load) + load)) / np.log(load) - 1.0
    np.testing.assert_allclose(grid.room_ratio[clear, -1], room, rtol=1e-9)
