"""Processing arrays: tiles of multipliers, a clock, and a path to the memory.

An array holds T_C processing elements, each a T_P-wide dot product, and works through T_R rows
before it turns to the next tile. Stacking joins k neighbouring elements into one k times as wide:
T_P k, T_C / k, T_R / k.

The default and the shape of the model follow what is known of Fluid Batching's array; the other
three span narrow and wide dot products and a slow and a fast memory, because such choices change
every ratio between batching schemes.

Reference:
    Kouris, Venieris, Laskaridis and Lane, Fluid batching: Exit-aware preemptive serving of
    early-exit neural networks on edge NPUs, 2022.
"""

from __future__ import annotations

from dataclasses import dataclass

from datagen.errors import require

__all__ = ["ARRAYS", "DEFAULT_ARRAY", "ProcessingArray", "processing_array"]

BYTES_PER_VALUE = 2
"""Weights and activations of 16 bits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessingArray:
    """An array of processing elements.

    Args:
        name: Its name in documents.
        tile_rows: T_R, rows that a tile holds, >= 2.
        tile_depth: T_P, width of a dot product, >= 1.
        tile_columns: T_C, processing elements, >= 2.
        clock: Cycles per second [Hz], > 0.
        bandwidth: Bytes per second to and from the memory, > 0.

    Raises:
        InvalidInputError: If a size is too small, or rows and columns cannot be halved.
    """

    name: str
    tile_rows: int
    tile_depth: int
    tile_columns: int
    clock: float
    bandwidth: float

    def __post_init__(self) -> None:
        require(self.tile_depth >= 1, "tile_depth", "be >= 1", self.tile_depth)
        for field in ("tile_rows", "tile_columns"):
            value = getattr(self, field)
            require(value >= 2 and value % 2 == 0, field, "be even and >= 2", value)
        for field in ("clock", "bandwidth"):
            require(getattr(self, field) > 0, field, "be > 0", getattr(self, field))

    @property
    def peak(self) -> float:
        """Multiply-accumulate operations per second if every element is busy."""
        return self.tile_depth * self.tile_columns * self.clock


DEFAULT_ARRAY = "fluid"

ARRAYS = {
    array.name: array
    for array in (
        ProcessingArray(
            name=DEFAULT_ARRAY,
            tile_rows=64,
            tile_depth=16,
            tile_columns=128,
            clock=200e6,
            bandwidth=12.8e9,
        ),
        ProcessingArray(
            name="narrow",
            tile_rows=64,
            tile_depth=8,
            tile_columns=64,
            clock=200e6,
            bandwidth=12.8e9,
        ),
        ProcessingArray(
            name="wide",
            tile_rows=128,
            tile_depth=64,
            tile_columns=64,
            clock=400e6,
            bandwidth=25.6e9,
        ),
        ProcessingArray(
            name="starved",
            tile_rows=64,
            tile_depth=32,
            tile_columns=128,
            clock=400e6,
            bandwidth=4.3e9,
        ),
    )
}
"""Arrays that come with the package, by name."""


def processing_array(name: str) -> ProcessingArray:
    """Return an array by name.

    Args:
        name: One of :data:`ARRAYS`.

    Returns:
        The array.

    Raises:
        InvalidInputError: If there is no such array.
    """
    require(name in ARRAYS, "array", f"be one of {', '.join(ARRAYS)}", name)
    return ARRAYS[name]
