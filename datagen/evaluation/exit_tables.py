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

__all__ = ["ExitTables"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = dict[str, NDArray[np.generic]]

_DRAWN = {
    "trace": "trace_exit",
    "context": "context_samples",
    "context_parameter": "context_parameter",
}
"""Levels that jobs draw their exits from, and the column of each."""


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
    def head_moments(self) -> tuple[Floats, Floats]:
        """Mean [s] and variance [s^2] of the open classifier of each slot by device [F, D]."""
        speed = np.array([device.speed for device in self.base.problem.devices])
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
                    "probability": self._outcome_shares(chain, 2 * len(places)),
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

    def _outcome_shares(self, chain: Chain, outcomes: int) -> list[float]:
        """Return the long-run share of the jobs of a chain by outcome."""
        found, samples = self.outcomes[chain.name], self.context_samples[chain.name]
        if chain.contexts is None:
            counts = np.bincount(found, minlength=outcomes)
            return (counts / len(found)).tolist()  # type: ignore[no-any-return]
        # Each sample of a context has an equal part of the time that the context holds.
        weights = np.repeat(chain.contexts.shares(len(samples)) / samples, samples)
        return np.bincount(found, weights, minlength=outcomes).tolist()  # type: ignore[no-any-return]

    @cached_property
    def _traces(self) -> dict[str, ExitTrace]:
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
            trace = self._traces.get(chain.name)
            outcome = np.zeros(0, dtype=np.int64)
            if trace is not None:
                decision = (self.base.exits or {})[chain.name]
                assert isinstance(decision, Thresholds)
                leave = trace.confidences >= np.append(decision.tau, 0.0)
                exits = leave.argmax(axis=1)
                outcome = 2 * exits + trace.correct[np.arange(len(exits)), exits]
                if chain.contexts is not None:
                    assert trace.context is not None
                    outcome = outcome[np.argsort(trace.context, kind="stable")]
            outcomes[chain.name] = outcome.astype(np.int16)
        return outcomes

    @cached_property
    def context_samples(self) -> dict[str, Ints]:
        """Samples in each context of each chain's trace; none where contexts do not change."""
        samples = {}
        for chain in self.base.problem.chains:
            trace = self._traces.get(chain.name)
            changing = trace is not None and chain.contexts is not None
            context = trace.context if trace is not None and changing else None
            samples[chain.name] = np.zeros(0, int) if context is None else np.bincount(context)
        return samples

    @cached_property
    def has_exits(self) -> bool:
        """Whether jobs of any chain may leave early."""
        return any(rows["fragment"] for rows in self.exits)

    @cached_property
    def passing(self) -> Floats:
        """Share of the jobs of a path that need each slot [F]."""
        shares = []
        for c, f in self.slots:
            rows = self.exits[c]
            passed = zip(rows["probability"], rows["fragment"], strict=True)
            share = sum(p for p, last in passed if last >= f)
            shares.append(share if rows["fragment"] and f > rows["fragment"][0] else 1.0)
        return np.array(shares)

    def exit_rows(self, count: int) -> Rows:
        """Return the exit columns of a number of placements."""
        if not self.has_exits:
            none = np.empty(0)
            return {
                "exit_start": np.zeros(count * len(self.exits) + 1, dtype=np.int64),
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
            sizes = np.array([len(value) for value in values], dtype=np.int64)
            rows[f"{level}_start"] = starts_of(np.tile(sizes, count))
            rows[_DRAWN[level]] = np.tile(np.concatenate(values), count)
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
        speed = np.array([device.speed for device in self.base.problem.devices])
        return {
            "fragment_head": code,
            "fragment_head_speed": np.where(code >= 0, speed[device], 1.0),
            "head_parameter_start": starts_of(sizes[slot]),
            "head_parameter": flat[ranges(starts_of(sizes)[slot], sizes[slot])],
        }
