"""The time of a layer: by hand, against brute force over layouts, and its laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.errors import InvalidInputError
from datagen.npu import (
    ARRAYS,
    NETWORKS,
    VARIANTS,
    Layer,
    ProcessingArray,
    layer_seconds,
    layer_utilization,
    network,
    processing_array,
    segment_seconds,
)

SMALL = ProcessingArray(
    name="small", tile_rows=4, tile_depth=2, tile_columns=2, clock=1.0, bandwidth=1e9
)
LAYERS = st.builds(
    Layer,
    name=st.just("layer"),
    rows=st.integers(1, 300),
    depth=st.integers(1, 300),
    columns=st.integers(1, 300),
    groups=st.sampled_from([1, 1, 2, 7, 32]),
    inputs=st.integers(1, 10_000),
)


def test_by_hand() -> None:
    """3 rows, depth 3, 3 columns in tiles of 4, 2, 2: a batch of 2 fills 6 of 8 rows."""
    layer = Layer(name="l", rows=3, depth=3, columns=3)
    # one sample: 1 x 2 x 2 tiles of 4 cycles; two: rows 6 -> 2 x 2 x 2, or depth 6 -> 1 x 3 x 2
    assert layer_seconds(layer, SMALL, "fixed", 2).tolist() == [16.0, 32.0]
    assert layer_seconds(layer, SMALL, "fluid", 2).tolist() == [16.0, 24.0]
    # stacked tiles of 2, 4, 1: 2 x 1 x 3 tiles of 2 cycles; two samples: 3 x 1 x 3
    assert layer_seconds(layer, SMALL, "fluid+stackable", 2).tolist() == [12.0, 18.0]


def test_memory_bounds_what_computes_quickly() -> None:
    array = ProcessingArray(
        name="starved", tile_rows=4, tile_depth=2, tile_columns=2, clock=1e9, bandwidth=2.0
    )
    layer = Layer(name="l", rows=3, depth=3, columns=3, inputs=5)
    # 2 bytes a value at 2 bytes per second: 9 weights once, 5 + 9 values for each sample
    assert layer_seconds(layer, array, "fluid", 3).tolist() == [23.0, 37.0, 51.0]


def test_narrow_groups_share_a_dot_product_if_fluid() -> None:
    layer = Layer(name="depthwise", rows=4, depth=1, columns=1, groups=6)
    assert layer_seconds(layer, SMALL, "fixed", 1).tolist() == [24.0]
    assert layer_seconds(layer, SMALL, "fluid", 1).tolist() == [12.0]  # 2 groups per product


def brute_force(layer: Layer, array: ProcessingArray, variant: str, batch: int) -> float:
    best = math.inf
    for stacking in (1, 2) if variant == "fluid+stackable" else (1,):
        rows, depth = array.tile_rows // stacking, array.tile_depth * stacking
        columns = array.tile_columns // stacking
        turns: float = layer.groups
        if variant != "fixed":
            turns = math.ceil(layer.groups / max(depth // layer.depth, 1))
        for stacked in range(1, batch + 1):
            for beside in range(1, batch + 1 if variant != "fixed" else 2):
                if stacked * beside >= batch:
                    tiles = (
                        math.ceil(stacked * layer.rows / rows)
                        * math.ceil(beside * layer.depth / depth)
                        * math.ceil(layer.columns / columns)
                    )
                    best = min(best, tiles * rows * turns)
    values = layer.weights + batch * (layer.inputs + layer.outputs)
    return max(best / array.clock, 2 * values / array.bandwidth)


@given(
    layer=LAYERS,
    array=st.sampled_from([*ARRAYS.values(), SMALL]),
    variant=st.sampled_from(VARIANTS),
    batch=st.integers(1, 12),
)
def test_is_the_best_of_all_layouts(
    layer: Layer, array: ProcessingArray, variant: str, batch: int
) -> None:
    found = layer_seconds(layer, array, variant, batch)[-1]
    assert found == pytest.approx(brute_force(layer, array, variant, batch), rel=1e-12)


@given(layer=LAYERS, array=st.sampled_from([*ARRAYS.values(), SMALL]))
def test_laws(layer: Layer, array: ProcessingArray) -> None:
    fixed, fluid, stackable = (layer_seconds(layer, array, v, 20) for v in VARIANTS)
    for seconds in (fixed, fluid, stackable):
        assert (np.diff(seconds) >= 0).all()  # more samples never take less
        assert (seconds > 0).all()
    assert (fluid <= fixed).all()  # more freedom never takes longer
    assert (stackable <= fluid).all()
    for variant in VARIANTS:
        used = layer_utilization(layer, array, variant, 20)
        assert ((used > 0) & (used <= 1 + 1e-12)).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_batches_pay_where_weights_weigh(name: str) -> None:
    """Late layers have few rows and many weights: a batch of 8 costs them less than 8 samples."""
    seconds = segment_seconds(network(name), 4, processing_array("wide"), "fluid", 8)
    saved = seconds[:, 7] / (8 * seconds[:, 0])
    assert (saved <= 1.0).all()
    assert saved[-1] < saved[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "liquid"}, "variant must be one of"),
        ({"max_batch": 0}, "max_batch must be >= 1, got max_batch=0"),
    ],
)
def test_refuses_by_name(arguments: dict[str, object], message: str) -> None:
    usual = {"variant": "fixed", "max_batch": 4} | arguments
    with pytest.raises(InvalidInputError, match=message):
        layer_seconds(Layer(name="l", rows=1, depth=1, columns=1), SMALL, **usual)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"tile_rows": 3}, "tile_rows must be even and >= 2, got tile_rows=3"),
        ({"tile_columns": 1}, "tile_columns must be even"),
        ({"tile_depth": 0}, "tile_depth must be >= 1"),
        ({"clock": 0.0}, "clock must be > 0"),
        ({"bandwidth": -1.0}, "bandwidth must be > 0"),
    ],
)
def test_refuses_impossible_arrays(sizes: dict[str, float], message: str) -> None:
    usual = {
        "tile_rows": 4, "tile_depth": 2, "tile_columns": 2, "clock": 1.0, "bandwidth": 1.0
    }  # fmt: skip
    with pytest.raises(InvalidInputError, match=message):
        ProcessingArray(name="a", **(usual | sizes))  # type: ignore[arg-type]


def test_arrays_are_found_by_name() -> None:
    assert processing_array("fluid").peak == 16 * 128 * 200e6
    with pytest.raises(InvalidInputError, match="array must be one of"):
        processing_array("gpu")
