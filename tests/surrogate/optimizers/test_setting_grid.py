from __future__ import annotations

import pytest

from datagen.deployment import BatchConfig
from datagen.errors import InvalidInputError
from datagen.npu import VARIANTS, BatchSetting
from surrogate.optimizers.setting_grid import accelerator_grids
from tests.surrogate.optimizers.hubs import array_hub, hub
from tests.surrogate.optimizers.problems import poor_start, small_problem


def test_sizes_fit_table_and_buffer() -> None:
    assert accelerator_grids(hub())[0].sizes == (2, 4, 8)  # of eight in the table
    assert accelerator_grids(hub(capacity=5))[0].sizes == (2, 4)
    assert accelerator_grids(hub(capacity=1))[0].sizes == (1,)
    assert accelerator_grids(array_hub())[0].sizes == (2, 4, 8)  # of nine in the buffer


def test_a_buffer_of_one_leaves_nothing_but_one_by_one() -> None:
    (grid,) = accelerator_grids(hub(capacity=1))
    assert {grid.setting((0, 0, t, 0)).config for t in range(grid.counts[2])} == {BatchConfig()}
    assert grid.counts[0] == 1


def test_what_the_start_decides_is_on_the_grid() -> None:
    own = BatchConfig(policy="edf", max_batch=3, timeout=0.0123, compaction=True)
    (grid,) = accelerator_grids(hub(batching=own))
    assert grid.setting(grid.start) == BatchSetting(config=own)
    expectant = BatchConfig(policy="exit_aware", max_batch=8, survivors="expected")
    (grid,) = accelerator_grids(hub(batching=expectant))
    assert grid.setting(grid.start).config == expectant
    (grid,) = accelerator_grids(hub())
    assert grid.setting(grid.start) == BatchSetting(config=BatchConfig())


def test_points_that_mean_the_same_are_one_setting() -> None:
    (grid,) = accelerator_grids(hub())
    settings: dict[BatchSetting, int] = {}
    numbers = grid.table(settings)
    # One by one: 1; static: a size; the five others: sizes and time-outs.
    waits = len(grid.timeouts)
    assert len(settings) == 1 + 3 + 5 * 3 * waits
    assert len(set(numbers[0].ravel().tolist())) == 1
    assert len(set(numbers[1].ravel().tolist())) == 3


def test_variants_are_of_modelled_arrays() -> None:
    assert accelerator_grids(hub())[0].variants == (None,)
    (grid,) = accelerator_grids(array_hub("fluid"))
    assert grid.variants == VARIANTS
    assert grid.setting(grid.start).variant == "fluid"
    assert accelerator_grids(array_hub("fluid"), variants=False)[0].variants == (None,)


def test_time_outs_are_shares_of_a_sample_alone() -> None:
    (grid,) = accelerator_grids(hub())
    assert grid.timeouts[0] == 0.0
    assert grid.timeouts[-1] == pytest.approx(2 * (0.042 + 0.052))


def test_an_accelerator_is_needed() -> None:
    with pytest.raises(InvalidInputError, match="devices must hold an accelerator"):
        accelerator_grids(poor_start(small_problem()))
