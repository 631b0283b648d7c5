"""Accelerators as devices have them: where the time of every segment of every model comes from.

A table has a row per fragment of the model's chains, for the fragment and its classifier. It is
measured, or follows from the layers of a network that is cut into as many pieces of about equal
work as the chain has fragments. One table, or one network, serves whatever model is placed; where
models differ, each is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from datagen.errors import require
from datagen.frozen import FrozenMap
from datagen.npu.arrays import DEFAULT_ARRAY, processing_array
from datagen.npu.latency import VARIANTS, layer_seconds
from datagen.npu.networks import network
from datagen.npu.tables import BatchTable

__all__ = ["Npu"]

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True, slots=True)
class Npu:
    """A batching accelerator inside a device.

    Args:
        table: Measured times, of any model or by model, or None.
        network: Instead, the built-in network that any model is, or that each one is.
        array: Where the layers of that network run; by default the first that comes with the
            package.
        variant: What its batches may choose; by default ``fixed``.

    Raises:
        InvalidInputError: If neither or both of table and network are given, or a name is unknown.
    """

    table: BatchTable | Mapping[str, BatchTable] | None = None
    network: str | Mapping[str, str] | None = None
    array: str | None = None
    variant: str | None = None

    def __post_init__(self) -> None:
        one = (self.table is None) != (self.network is None)
        require(one, "npu", "have either a table or a network", (self.table, self.network))
        for field in ("table", "network"):
            value = getattr(self, field)
            if isinstance(value, Mapping):
                require(len(value) > 0, field, "name at least one model", value)
                object.__setattr__(self, field, FrozenMap(value))
        if self.network is None:
            for field in ("array", "variant"):
                value = getattr(self, field)
                require(value is None, field, "go with a network", value)
            return
        for name in self._named(self.network):
            network(name)
        if self.array is not None:
            processing_array(self.array)
        known = self.variant is None or self.variant in VARIANTS
        require(known, "variant", f"be one of {', '.join(VARIANTS)}", self.variant)

    @staticmethod
    def _named(networks: str | Mapping[str, str]) -> Sequence[str]:
        return (networks,) if isinstance(networks, str) else tuple(networks.values())

    @property
    def compacts(self) -> bool:
        """Whether its layouts follow a batch that shrinks, without being told to."""
        return self.variant is not None and self.variant != "fixed"

    def covers(self, model: str, fragments: int) -> bool:
        """Return whether the times of a model are known.

        Args:
            model: The model of a chain.
            fragments: Fragments of that chain.

        Returns:
            True if there is a table with a row per fragment, or a network with as many blocks.
        """
        table, name = _of_model(self.table, model), _of_model(self.network, model)
        if table is not None:
            return table.segments == fragments
        return name is not None and fragments <= len(network(name).blocks)

    def longest_batch(self, model: str) -> int | None:
        """Return the largest batch of a model whose time is known, or None if there is no limit.

        Args:
            model: A model that is covered.

        Returns:
            The size.
        """
        table = _of_model(self.table, model)
        return None if table is None else table.max_batch

    def times(self, model: str, classified: Sequence[bool], max_batch: int) -> BatchTable:
        """Return the times of a model.

        Args:
            model: A model that is covered.
            classified: Whether a classifier stands after each fragment; the last has its own.
            max_batch: Largest batch, at most :meth:`longest_batch`.

        Returns:
            A table with a row per fragment, up to that batch.
        """
        table, name = _of_model(self.table, model), _of_model(self.network, model)
        if table is not None:
            return BatchTable(seconds=table.seconds[:, :max_batch])
        assert name is not None
        array, variant = self.array or DEFAULT_ARRAY, self.variant or VARIANTS[0]
        return _modelled(name, (*classified[:-1], True), array, variant, max_batch)


def _of_model(given: Value | Mapping[str, Value] | None, model: str) -> Value | None:
    return given.get(model) if isinstance(given, Mapping) else given


@cache
def _modelled(
    name: str, classified: tuple[bool, ...], array: str, variant: str, max_batch: int
) -> BatchTable:
    """Return the times of a network that is cut into fragments, not all with a classifier."""
    placed = processing_array(array)
    rows = []
    for layers, kept in zip(network(name).segments(len(classified)), classified, strict=True):
        own = layers if kept else layers[:-1]
        rows.append(sum(layer_seconds(layer, placed, variant, max_batch) for layer in own))
    return BatchTable(seconds=rows)  # type: ignore[arg-type]
