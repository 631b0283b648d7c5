"""Where the jobs of a deployment may leave, as arrays that all its placements share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Chain, Deployment
from datagen.distributions import LAW_NAMES, Law
from datagen.evaluation.fields import ranges, starts_of
from datagen.exits import CONTEXT_NAMES, ExitMix, ExitTrace, Thresholds

__all__ = ["ExitTables", "needing"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = dict[str, NDArray[np.generic]]

_DRAWN = {
    "trace": "trace_exit",
    "context": "context_samples",
    "context_parameter": "context_parameter",
}
"""Levels that say what exits are drawn from and how contexts change, and the column of each."""


def needing(probability: Floats, fragment: list[float], place: int) -> Floats:
    """Return the share of the jobs that get as far as a fragment.

    Args:
        probability: Share of the jobs that leave at each exit [B, X].
        fragment: Last fragment that these pass [X].
        place: 0-based place of the fragment in its chain.

    Returns:
        Shares [B]; exactly 1 for a fragment that nobody leaves before.
    """
    if not fragment or place <= fragment[0]:
        return np.ones(len(probability))
    share = np.zeros(len(probability))
    for exit_, last in enumerate(fragment):
        if last >= place:
            share = share + probability[:, exit_]
    return share


def tiled(level: str, name: str, values: list[NDArray[Any]], count: int) -> Rows:
    """Return a level whose rows are the same for every placement.

    Args:
        level: Name of the level.
        name: Its column.
        values: Rows of each chain.
        count: Number of placements.

    Returns:
        Offsets and column.
    """
    sizes = np.array([len(rows) for rows in values], dtype=np.int64)
    return {
        f"{level}_start": starts_of(np.tile(sizes, count)),
        name: np.tile(np.concatenate(values), count),
    }


@dataclass(frozen=True)
class ExitTables:
    """Exits of one deployment's chains.

    Args:
        base: The deployment.
        slots: (chain, fragment) of each place in its placement vector [F].
    """

    base: Deployment
    slots: list[tuple[int, int]]

    @cached_property
    def heads(self) -> list[Law | None]:
        """Law of the open classifier after each slot [F], or None."""
        exits = self.base.exits or {}
        heads: list[Law | None] = []
        for c, f in self.slots:
            chain = self.base.problem.chains[c]
            item, decision = chain.fragments[f].exit, exits.get(chain.name)
            is_open = isinstance(decision, ExitMix)
            if isinstance(decision, Thresholds) and item is not None and chain.trace is not None:
                place = sum(fragment.exit is not None for fragment in chain.fragments[:f])
                is_open = decision.tau[place] <= 1  # no confidence is above 1
            heads.append(item.head if item is not None and is_open else None)
        return heads

    @cached_property
    def head_speed(self) -> Floats:
        """Divisor of the work of classifiers on each device [D].

        The tables of accelerators hold their time already: it takes none besides.
        """
        devices = self.base.problem.devices
        return np.array([device.speed if device.npu is None else np.inf for device in devices])

    @cached_property
    def head_moments(self) -> tuple[Floats, Floats]:
        """Mean [s] and variance [s^2] of the open classifier of each slot by device [F, D]."""
        speed = self.head_speed
        mean = np.array([0.0 if head is None else head.mean for head in self.heads])
        scv = np.array([0.0 if head is None else head.scv for head in self.heads])
        times = mean[:, None] / speed
        return times, scv[:, None] * times**2

    @cached_property
    def exits(self) -> list[dict[str, list[float]]]:
        """Rows of the exits of each chain."""
        rows: list[dict[str, list[float]]] = []
        for chain in self.base.problem.chains:
            decision = (self.base.exits or {}).get(chain.name)
            places: list[float] = [k for k, f in enumerate(chain.fragments) if f.exit is not None]
            places.append(len(chain.fragments) - 1)
            if len(self.outcomes[chain.name]):
                rows.append({
                    "probability": self.shares(
                        chain, self.outcomes[chain.name][None], 2 * len(places)
                    )[0].tolist(),
                    "fragment": [place for place in places for _ in range(2)],
                    "accuracy": [0.0, 1.0] * len(places),
                })
                continue
            if not isinstance(decision, ExitMix):
                rows.append({"probability": [], "fragment": [], "accuracy": []})
                continue
            rows.append({
                "probability": list(decision.p),
                "fragment": places,
                "accuracy": list(decision.accuracy or [np.nan] * len(decision.p)),
            })
        return rows

    def shares(self, chain: Chain, outcomes: NDArray[np.int16], exits: int) -> Floats:
        """Return the long-run share of the jobs of a chain by outcome.

        Args:
            chain: The chain, one with a trace.
            outcomes: Outcome of each sample [B, N], see :meth:`outcomes_by`.
            exits: Number of outcomes X.

        Returns:
            Shares [B, X].
        """
        count, samples = outcomes.shape
        place = (outcomes + exits * np.arange(count)[:, None]).ravel()
        if chain.contexts is None:
            counts = np.bincount(place, minlength=exits * count)
            return np.asarray(counts.reshape(count, exits) / samples)
        # Each sample of a context has an equal part of the time that the context holds.
        held = self.context_samples[chain.name]
        weights = np.tile(np.repeat(chain.contexts.shares(len(held)) / held, held), count)
        held_by = np.bincount(place, weights, minlength=exits * count)
        return np.asarray(held_by.reshape(count, exits), dtype=np.float64)

    @cached_property
    def traces(self) -> dict[str, ExitTrace]:
        """The trace of each chain whose jobs leave by thresholds on one."""
        traces = {trace.name: trace for trace in self.base.problem.traces}
        return {
            chain.name: traces[chain.trace]
            for chain in self.base.problem.chains
            if chain.trace is not None
            and isinstance((self.base.exits or {}).get(chain.name), Thresholds)
        }

    @cached_property
    def outcomes(self) -> dict[str, NDArray[np.int16]]:
        """Where each sample of a chain's trace leaves, twice that, plus one if it is right.

        The samples stand in the order of the trace; where contexts change, one after the other.
        """
        outcomes = {}
        for chain in self.base.problem.chains:
            outcome = np.zeros(0, dtype=np.int16)
            if chain.name in self.traces:
                decision = (self.base.exits or {})[chain.name]
                assert isinstance(decision, Thresholds)
                outcome = self.outcomes_by(chain, np.array([decision.tau]))[0]
            outcomes[chain.name] = outcome
        return outcomes

    def outcomes_by(self, chain: Chain, tau: Floats) -> NDArray[np.int16]:
        """Return the outcomes of a chain's samples under many vectors of thresholds.

        Args:
            chain: The chain, one with a trace of E exits and N samples.
            tau: Thresholds of its intermediate classifiers [B, E - 1].

        Returns:
            Outcomes [B, N], see :attr:`outcomes`.
        """
        trace = self.traces[chain.name]
        samples, exits = trace.confidences.shape
        left = np.full((len(tau), samples), exits - 1, dtype=np.int16)
        for exit_ in reversed(range(exits - 1)):
            left[trace.confidences[:, exit_] >= tau[:, [exit_]]] = exit_
        outcomes = 2 * left + trace.correct[np.arange(samples), left].astype(np.int16)
        if chain.contexts is None:
            return outcomes
        assert trace.context is not None
        return np.asarray(outcomes[:, np.argsort(trace.context, kind="stable")])

    @cached_property
    def threshold_columns(self) -> dict[str, slice]:
        """Place of the thresholds of each chain that is decided by some in a row of thresholds."""
        columns, width = {}, 0
        for chain in self.base.problem.chains:
            decision = (self.base.exits or {}).get(chain.name)
            if isinstance(decision, Thresholds):
                columns[chain.name] = slice(width, width + len(decision.tau))
                width += len(decision.tau)
        return columns

    @cached_property
    def context_samples(self) -> dict[str, Ints]:
        """Samples in each context of each chain's trace; none where contexts do not change."""
        samples = {}
        for chain in self.base.problem.chains:
            trace = self.traces.get(chain.name)
            changing = trace is not None and chain.contexts is not None
            context = trace.context if trace is not None and changing else None
            samples[chain.name] = np.zeros(0, int) if context is None else np.bincount(context)
        return samples

    @cached_property
    def has_exits(self) -> bool:
        """Whether jobs of any chain may leave early."""
        return bool(self.base.exits) and any(rows["fragment"] for rows in self.exits)

    @cached_property
    def passing(self) -> Floats:
        """Share of the jobs of a path that need each slot [F]."""
        shares = [
            needing(np.array([self.exits[c]["probability"]]), self.exits[c]["fragment"], f)[0]
            for c, f in self.slots
        ]
        return np.array(shares)

    @cached_property
    def random_head(self) -> bool:
        """Whether any open classifier takes a random time."""
        return self.has_exits and any(head is not None and head.is_random for head in self.heads)

    def exit_rows(self, count: int) -> Rows:
        """Return the exit columns of a number of placements."""
        if not self.has_exits:
            none = np.empty(0)
            return {
                "exit_start": np.zeros(count * len(self.base.problem.chains) + 1, dtype=np.int64),
                "exit_probability": none,
                "exit_fragment": none,
                "exit_accuracy": none,
            }
        sizes = np.array([len(rows["fragment"]) for rows in self.exits], dtype=np.int64)
        columns = {
            name: np.tile([x for rows in self.exits for x in rows[name]], count)
            for name in ("probability", "fragment", "accuracy")
        }
        return {
            "exit_start": starts_of(np.tile(sizes, count)),
            "exit_probability": columns["probability"],
            "exit_fragment": columns["fragment"],
            "exit_accuracy": columns["accuracy"],
        }

    def draw_rows(self, count: int) -> Rows:
        """Return what the exits of jobs are drawn from, for a number of placements."""
        chains = self.base.problem.chains
        if not self.has_exits:  # as usual, and searches pack often
            starts, none = np.zeros(count * len(chains) + 1, dtype=np.int64), np.empty(0)
            empty: Rows = {f"{level}_start": starts for level in _DRAWN}
            return empty | dict.fromkeys(_DRAWN.values(), none)
        process = [
            (CONTEXT_NAMES.index(chain.contexts.name), *chain.contexts.parameters())
            if chain.contexts is not None and len(self.context_samples[chain.name])
            else ()
            for chain in chains
        ]
        drawn: dict[str, list[NDArray[Any]]] = {
            "trace": list(self.outcomes.values()),
            "context": list(self.context_samples.values()),
            "context_parameter": [np.array(numbers, float) for numbers in process],
        }
        rows: Rows = {}
        for level, values in drawn.items():
            rows |= tiled(level, _DRAWN[level], values, count)
        return rows

    def head_rows(self, slot: Ints, device: NDArray[np.int32]) -> Rows:
        """Return the columns of open classifiers.

        Args:
            slot: Slot of each fragment row [N].
            device: Its device [N].
        """
        if not self.has_exits:
            return {
                "fragment_head": np.full(len(slot), -1),
                "fragment_head_speed": np.ones(len(slot)),
                "head_parameter_start": np.zeros(len(slot) + 1, dtype=np.int64),
                "head_parameter": np.empty(0),
            }
        codes = [-1 if head is None else LAW_NAMES.index(head.name) for head in self.heads]
        parameters = [() if head is None else head.parameters() for head in self.heads]
        sizes = np.array([len(values) for values in parameters], dtype=np.int64)
        flat = np.array([x for values in parameters for x in values], dtype=np.float64)
        code = np.array(codes, dtype=np.int8)[slot]
        return {
            "fragment_head": code,
            "fragment_head_speed": np.where(code >= 0, self.head_speed[device], 1.0),
            "head_parameter_start": starts_of(sizes[slot]),
            "head_parameter": flat[ranges(starts_of(sizes)[slot], sizes[slot])],
        }
