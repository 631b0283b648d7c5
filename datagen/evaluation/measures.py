"""Measures: how deployments perform, laid out like the packed deployments they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation.batch import DeploymentBatch
from datagen.evaluation.fields import Column

__all__ = ["MEASURES", "SUFFIXES", "Columns", "Measures", "NamedMeasures"]

Array = NDArray[np.float64] | NDArray[np.bool_]
Source = Literal["simulation", "surrogate", "analytic", "measured"]


def _number(level: str, unit: str, meaning: str) -> Column:
    return Column(level=level, dtype="float64", unit=unit, meaning=meaning)


def _flag(meaning: str) -> Column:
    return Column(level="deployment", dtype="bool", unit="1", meaning=meaning)


MEASURES: dict[str, dict[str, Column]] = {
    "deployment": {
        "loss_ratio": _number("deployment", "1", "total lost / total offered, in [0, 1]"),
        "events": _number("deployment", "1", "arrivals and service completions simulated"),
        "warmup": _number("deployment", "s", "start of each run that is not counted"),
        "unstable": _flag("an unlimited buffer has load >= 1: no steady state"),
        "deadlocked": _flag("jobs came to wait for each other in a circle: no measures"),
        "in_distribution": _flag("inside what the surrogate was trained on"),
        "saturated": _flag("some finite buffer has load >= 1"),
        "phase_dependent": _flag("runs settle in different periodic patterns"),
        "truncated": _flag("some cohort job had not left one horizon after the end"),
        "precise": _flag("the precision asked for was reached"),
    },
    "chain": {
        "offered": _number("chain", "1", "jobs that arrived (cohort)"),
        "completed": _number("chain", "1", "of these, jobs that left after their last step"),
        "lost": _number("chain", "1", "of these, jobs that found too little room"),
        "throughput": _number("chain", "1/s", "rate of completions"),
        "throughput_ratio": _number("chain", "1", "completed / offered, in [0, 1]"),
        "loss_ratio": _number("chain", "1", "lost / offered, in [0, 1]"),
        "latency": _number("chain", "s", "mean latency of completed jobs"),
        "latency_ratio": _number("chain", "1", "mean unloaded latency / mean latency"),
        "p50": _number("chain", "s", "median latency of completed jobs"),
        "p95": _number("chain", "s", "95 % quantile of the latency of completed jobs"),
        "p99": _number("chain", "s", "99 % quantile of the latency of completed jobs"),
        "attainment": _number("chain", "1", "jobs that met the deadline / offered"),
        "accuracy_completed": _number("chain", "1", "right answers / completed"),
        "accuracy_offered": _number("chain", "1", "right answers / offered"),
        "energy": _number("chain", "J", "energy per completed job"),
    },
    "step": {
        "offered": _number("step", "1", "cohort jobs that arrived at the step"),
        "lost": _number("step", "1", "of these, jobs that found too little room"),
        "sojourn": _number("step", "s", "mean time at the step of all jobs served there"),
        "sojourn_completed": _number("step", "s", "the same over jobs that later complete"),
        "batch": _number("step", "1", "mean size of the batches that begin its segment"),
    },
    "device": {
        "utilization": _number("device", "1", "busy servers / servers, time average"),
        "jobs": _number("device", "1", "jobs present, time average"),
        "units": _number("device", "1", "buffer units in use, time average"),
        "batch": _number("device", "1", "mean batch size over all segments"),
        "preemptions": _number("device", "1/s", "batches suspended for newcomers"),
        "power": _number("device", "W", "electrical power, time average"),
    },
    "window": {
        "start": _number("window", "s", "the window holds the jobs that arrive after this time"),
        "end": _number("window", "s", "and not after this one"),
        "offered": _number("window", "1", "jobs of the chain that arrived in the window"),
        "completed": _number("window", "1", "of these, jobs that left after their last step"),
        "lost": _number("window", "1", "of these, jobs that found too little room"),
        "throughput": _number("window", "1/s", "of these, those that completed, per second"),
        "loss_ratio": _number("window", "1", "lost / offered, in [0, 1]"),
        "latency": _number("window", "s", "mean latency of the completed"),
    },
}
"""Every measure by level and name: the only place that lists them."""

SUFFIXES = ("", "_se", "_low", "_high")
"""What a number may carry beside its value: standard error (simulation) or bounds (surrogate)."""

_FLAGS_TRUE_WHEN_UNSAID = frozenset({"in_distribution", "precise"})


def _known(level: str, name: str) -> Column | None:
    for suffix in SUFFIXES:
        base = name.removesuffix(suffix) if suffix else name
        described = MEASURES[level].get(base)
        if described is not None and (suffix == "" or described.dtype == "float64"):
            return described
    return None


class Columns(dict[str, Array]):
    """Arrays of one level by name; a known measure that is absent reads as all NaN.

    Args:
        level: Name of the level.
        rows: Number of rows of the level.
        values: Arrays [rows].
    """

    def __init__(self, level: str, rows: int, values: Mapping[str, Array]) -> None:
        super().__init__()
        self.level = level
        self.rows = rows
        for name, value in values.items():
            described = _known(level, name)
            if described is None:
                raise KeyError(f"unknown {level} measure {name!r}; known: {list(MEASURES[level])}")
            array = np.asarray(value, dtype=described.dtype)
            if array.shape != (rows,):
                raise ValueError(f"{name} must have shape ({rows},), got {array.shape}.")
            array.setflags(write=False)
            self[name] = array

    def __missing__(self, name: str) -> Array:
        described = _known(self.level, name)
        if described is None:
            raise KeyError(
                f"unknown {self.level} measure {name!r}; known: {list(MEASURES[self.level])}"
            )
        if described.dtype == "bool":
            return np.full(self.rows, name in _FLAGS_TRUE_WHEN_UNSAID)
        return np.full(self.rows, np.nan)

    def __reduce__(self) -> tuple[object, ...]:
        return (Columns, (self.level, self.rows, dict(self)))


@dataclass(frozen=True, kw_only=True)
class Measures:
    """Measures of B deployments.

    Args:
        source: Who says so.
        deployment: Arrays [B].
        chain: Arrays [C].
        step: Arrays [S].
        device: Arrays [D].
        window: Arrays [C * windows], the windows of the first chain first.
        windows: Windows that time was cut into; 0 where it was not.
        chain_start: Offsets of the chains [B + 1].
        step_start: Offsets of the steps by deployment [B + 1].
        device_start: Offsets of the devices [B + 1].
        reason: Per deployment why it is out of distribution or unstable, or None.
        level: Nominal coverage of ``_low`` and ``_high``, in (0, 1), or None.
        chain_names: Names of the chains [C], or None.
        device_names: Names of the devices [D], or None.
    """

    source: Source
    deployment: Columns
    chain: Columns
    step: Columns
    device: Columns
    chain_start: NDArray[np.int64]
    step_start: NDArray[np.int64]
    device_start: NDArray[np.int64]
    window: Columns = field(default_factory=lambda: Columns("window", 0, {}))
    windows: int = 0
    reason: tuple[str | None, ...] | None = None
    level: float | None = None
    chain_names: tuple[str, ...] | None = None
    device_names: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls,
        batch: DeploymentBatch,
        source: Source,
        *,
        deployment: Mapping[str, Array] | None = None,
        chain: Mapping[str, Array] | None = None,
        step: Mapping[str, Array] | None = None,
        device: Mapping[str, Array] | None = None,
        window: Mapping[str, Array] | None = None,
        windows: int = 0,
        reason: tuple[str | None, ...] | None = None,
        level: float | None = None,
    ) -> Measures:
        """Build measures in the layout of a batch.

        Args:
            batch: The deployments measured.
            source: Who says so.
            deployment: Arrays [B] by name.
            chain: Arrays [C] by name.
            step: Arrays [S] by name.
            device: Arrays [D] by name.
            window: Arrays [C * windows] by name, the windows of the first chain first.
            windows: Windows that time was cut into.
            reason: Per deployment why it is out of distribution or unstable.
            level: Nominal coverage of the bounds.

        Returns:
            The measures; the system loss ratio is derived from the chains where it is not given.

        Raises:
            KeyError: If a name is not a measure.
            ValueError: If an array has the wrong length.
        """
        chains = dict(chain or {})
        deployments = dict(deployment or {})
        known = "loss_ratio" in chains or {"offered", "lost"} <= chains.keys()
        if "loss_ratio" not in deployments and known:
            deployments["loss_ratio"] = system_loss_ratio(batch, chains)
        steps = batch.step_start[batch.path_start[batch.chain_start]]
        rows = {"chain": len(batch.chain_rate), "device": len(batch.device_speed)}
        return cls(
            source=source,
            deployment=Columns("deployment", len(batch), deployments),
            chain=Columns("chain", rows["chain"], chains),
            step=Columns("step", len(batch.step_mean), step or {}),
            device=Columns("device", rows["device"], device or {}),
            window=Columns("window", windows * rows["chain"], window or {}),
            windows=windows,
            chain_start=batch.chain_start,
            step_start=steps,
            device_start=batch.device_start,
            reason=reason,
            level=level,
            chain_names=batch.chain_names,
            device_names=batch.device_names,
        )

    @property
    def window_start(self) -> NDArray[np.int64]:
        """Offsets of the windows by deployment [B + 1]."""
        return self.chain_start * self.windows

    def __len__(self) -> int:
        return len(self.chain_start) - 1

    def __getitem__(self, index: int) -> NamedMeasures:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index must lie in [0, {len(self)}), got index={index}.")
        return NamedMeasures(self, index % len(self))

    def __iter__(self) -> Iterator[NamedMeasures]:
        return (self[index] for index in range(len(self)))


def system_loss_ratio(batch: DeploymentBatch, chain: Mapping[str, Array]) -> NDArray[np.float64]:
    """Return total lost / total offered of each deployment.

    Args:
        batch: The deployments.
        chain: Chain measures; counts are used where present, rates otherwise.

    Returns:
        System loss ratio [B], in [0, 1]; NaN where a chain's loss is unknown.
    """
    owner = batch.owner("chain")
    offered = np.asarray(chain.get("offered", batch.chain_rate), dtype=np.float64)
    counted = "offered" in chain and "lost" in chain
    lost = chain["lost"] if counted else offered * chain["loss_ratio"]
    total = np.bincount(owner, weights=offered, minlength=len(batch))
    with np.errstate(invalid="ignore"):
        return np.bincount(owner, weights=lost, minlength=len(batch)) / total


@dataclass(frozen=True)
class _Row:
    """One row of one level; its measures are attributes."""

    columns: Columns = field(repr=False)
    row: int

    def __getattr__(self, name: str) -> float:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return float(self.columns[name][self.row])
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def as_dict(self) -> dict[str, float | bool | None]:
        """Return every measure present, None where undefined."""
        values = {name: column[self.row].item() for name, column in self.columns.items()}
        return {name: None if value != value else value for name, value in values.items()}


@dataclass(frozen=True)
class NamedMeasures:
    """One deployment's measures by name; its own measures are attributes.

    Args:
        measures: Measures of several deployments.
        index: 0-based deployment.

    Example:
        ``measures[0].chains["camera"].loss_ratio``
    """

    measures: Measures
    index: int

    def __getattr__(self, name: str) -> float:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_Row(self.measures.deployment, self.index), name)  # type: ignore[no-any-return]

    @property
    def reason(self) -> str | None:
        """Why the deployment is out of distribution or unstable, or None."""
        return None if self.measures.reason is None else self.measures.reason[self.index]

    def _named(
        self, columns: Columns, start: NDArray[np.int64], names: tuple[str, ...] | None
    ) -> Mapping[str, _Row]:
        rows = range(start[self.index], start[self.index + 1])
        return MappingProxyType({
            str(k) if names is None else names[row]: _Row(columns, row)
            for k, row in enumerate(rows)
        })

    @property
    def chains(self) -> Mapping[str, _Row]:
        """Measures of each chain by its name (its position, where names are unknown)."""
        return self._named(
            self.measures.chain, self.measures.chain_start, self.measures.chain_names
        )

    @property
    def windows(self) -> Mapping[str, tuple[_Row, ...]]:
        """Measures of each chain window by window, where time was cut into some."""
        measures, count = self.measures, self.measures.windows
        rows = range(measures.chain_start[self.index], measures.chain_start[self.index + 1])
        return MappingProxyType({
            name: tuple(_Row(measures.window, row * count + k) for k in range(count))
            for name, row in zip(self.chains, rows, strict=True)
        })

    @property
    def devices(self) -> Mapping[str, _Row]:
        """Measures of each device by its name (its position, where names are unknown)."""
        return self._named(
            self.measures.device, self.measures.device_start, self.measures.device_names
        )

    @property
    def steps(self) -> tuple[_Row, ...]:
        """Measures of the steps: chain by chain, path by path, in order."""
        rows = range(self.measures.step_start[self.index], self.measures.step_start[self.index + 1])
        return tuple(_Row(self.measures.step, row) for row in rows)
