"""Queue-aware thresholds of a gateway: one threshold vector per band of its backlog.

A device that sees its queue can afford deep exits while nobody waits. The candidates are points of
the frontier of accuracy and work; the best choice of one per backlog is the occupation-measure
linear program of :mod:`datagen.analytic.exit_ceiling`, and bands are fitted to it by exchange. Both
are exact for Poisson arrivals and independent draws, up to two moments of service at each exit.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from datagen.analytic import (
    ArrivalCounts,
    ExitQueue,
    deterministic_counts,
    gamma_counts,
    mixed_counts,
)
from datagen.deployment import Chain, Device
from datagen.errors import require
from datagen.exits import ExitTrace
from datagen.simulator.backlog_exits import (
    NORMAL_95,
    BacklogMeasures,
    Timed,
    simulate_backlog_exits,
)
from surrogate.optimizers.result import Outcome
from surrogate.optimizers.threshold_frontier import frontier
from surrogate.optimizers.threshold_result import Judged, ThresholdResult
from surrogate.optimizers.threshold_space import ThresholdSpace

__all__ = ["Gateway", "fitted_bands", "tune_by_backlog"]

Floats = NDArray[np.float64]
Bands = list[tuple[int, int]]
"""(largest number of jobs present, action) in order; the last covers a full buffer."""

PRICES = 32
"""Points of the frontier that thresholds are chosen from."""

SWEEPS = 4
"""Rounds of exchange at most; two usually change nothing any more."""

SAFETY = 0.97
"""Share of the loss target that bands are fitted to: the rest covers the moments that the exact
queue does not see."""

LEAST_SHARE = 1e-9
"""Shares of jobs below are rounding."""

LEAST_GAIN = 1e-6
"""Accuracy by which a round of exchange has to improve for another one."""

SERVICES = 2_000_000
"""Services of the verification: a loss ratio of 1 % is known to about 1 % of itself."""


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """A chain alone on one device, and the threshold vectors it chooses from.

    Args:
        chain: The chain.
        device: Its device, FCFS, one server.
        trace: Where its jobs leave.
        thresholds: Thresholds of the actions [A, E - 1].
        mix: Share of the jobs that leaves at each exit under each action [A, E].
        accuracy: Share of right answers under each action [A].
    """

    chain: Chain
    device: Device
    trace: ExitTrace
    thresholds: Floats
    mix: Floats
    accuracy: Floats

    @classmethod
    def of(cls, space: ThresholdSpace) -> Gateway:
        """Find the gateway of a deployment.

        Args:
            space: Thresholds of one chain, all on one device.

        Returns:
            The gateway.

        Raises:
            InvalidInputError: If there is more than one chain or device in use, the device is not
                FCFS with one server and a finite buffer, arrivals are not Poisson, or jobs take
                more than one unit.
        """
        base = space.base
        chains = base.problem.chains
        used = {d for paths in base.placement.values() for path in paths for d in path}
        alone = len(chains) == 1 and len(used) == 1
        require(alone, "bands", "be 1 where there is more than one chain or device", len(used))
        chain = chains[0]
        device = next(d for d in base.problem.devices if d.name in used)
        plain = device.discipline == "fcfs" and device.servers == 1 and device.capacity is not None
        plain = plain and chain.arrivals.name == "poisson" and chain.contexts is None
        plain = plain and all(fragment.demand == 1 for fragment in chain.fragments)
        rule = "be 1 but for Poisson arrivals of unit jobs at one FCFS server with a finite buffer"
        require(plain, "bands", rule, device.name)
        model = space.exits[chain.name]
        works, _ = _stages(chain, device)
        passed = np.cumsum([sum(law.mean / speed for law, speed in parts) for parts in works])
        levels = np.unique(frontier(model, passed, prices=PRICES), axis=0)
        with torch.no_grad():
            leaving = model(torch.tensor(levels, dtype=torch.float32))
        trace = next(t for t in base.problem.traces if t.name == chain.trace)
        return cls(
            chain=chain,
            device=device,
            trace=trace,
            thresholds=model.thresholds(levels),
            mix=np.maximum(leaving.mix.double().numpy(), 0.0),
            accuracy=np.clip(leaving.right.sum(dim=1).double().numpy(), 0.0, 1.0),
        )

    @property
    def capacity(self) -> int:
        """Jobs the device holds."""
        assert self.device.capacity is not None
        return self.device.capacity

    def queue(self) -> ExitQueue:
        """Return the exact queue whose "exits" are the actions."""
        counts = [self._counts(action) for action in range(len(self.thresholds))]
        return ExitQueue(self.chain.arrivals.rate, counts, self.accuracy)

    def _counts(self, action: int) -> ArrivalCounts:
        """Return the arrivals during a service under an action."""
        works, heads = _stages(self.chain, self.device)
        mean, variance = 0.0, 0.0
        parts: list[ArrivalCounts] = []
        shares: list[float] = []
        for exit_, stage in enumerate(works):
            served = list(stage)
            if exit_ < len(heads) and self.thresholds[action, exit_] <= 1:
                served.append(heads[exit_])
            mean += sum(law.mean / speed for law, speed in served)
            variance += sum(law.scv * (law.mean / speed) ** 2 for law, speed in served)
            if self.mix[action, exit_] > LEAST_SHARE:
                load = self.chain.arrivals.rate * mean
                parts.append(_counted(load, variance / mean**2, self.capacity))
                shares.append(float(self.mix[action, exit_]))
        return mixed_counts(parts, [share / sum(shares) for share in shares])

    def simulated(self, bands: Bands, seed: int, services: int = SERVICES) -> BacklogMeasures:
        """Simulate bands.

        Args:
            bands: What to do.
            seed: Master seed.
            services: Services simulated.

        Returns:
            Measures.
        """
        works, heads = _stages(self.chain, self.device)
        return simulate_backlog_exits(
            arrival_rate=self.chain.arrivals.rate,
            works=works,
            heads=heads,
            capacity=self.capacity,
            trace=self.trace,
            thresholds=self.thresholds[_actions(bands)],
            services=services,
            seed=seed,
        )


def _counted(load: float, scv: float, capacity: int) -> ArrivalCounts:
    return deterministic_counts(load, capacity) if scv == 0 else gamma_counts(load, scv, capacity)


def _stages(chain: Chain, device: Device) -> tuple[list[list[Timed]], list[Timed]]:
    """Return what is served between exits, and the classifiers."""
    works: list[list[Timed]] = [[]]
    heads: list[Timed] = []
    for place, fragment in enumerate(chain.fragments):
        works[-1].append(fragment.time_on(device))
        if fragment.exit is not None:
            heads.append((fragment.exit.head, device.speed))
            if place + 1 < len(chain.fragments):
                works.append([])
    return works, heads


def _actions(bands: Bands) -> NDArray[np.int64]:
    """Return the action of every number of jobs present [K]."""
    sizes = np.diff([0, *(jobs for jobs, _ in bands)])
    return np.repeat([action for _, action in bands], sizes)


def fitted_bands(queue: ExitQueue, loss_target: float, bands: int) -> Bands:
    """Fit bands to the best policy by exchange of actions and limits.

    Args:
        queue: The exact queue; its "exits" are the actions.
        loss_target: Largest loss ratio.
        bands: Largest number of bands, >= 1.

    Returns:
        Bands whose exact loss ratio keeps the target, as accurate as exchange could make them.

    Raises:
        InvalidInputError: If no policy keeps the target.
    """
    actions = len(queue.accuracy)
    one_hot = np.eye(actions)

    def value(plan: Bands) -> float:
        found = queue.measures(one_hot[_actions(plan)])
        over = max(found.loss_ratio - loss_target, 0.0) / loss_target
        return found.accuracy_offered - over  # a loss of twice the target outweighs any accuracy

    best = _merged(queue.queue_aware(loss_target).policy, bands)
    reached = value(best)
    for _ in range(SWEEPS):
        before = reached
        for band in range(len(best)):
            tried = [[*best[:band], (best[band][0], a), *best[band + 1 :]] for a in range(actions)]
            if band + 1 < len(best):
                low = best[band - 1][0] if band else 0
                limits = range(low + 1, best[band + 1][0])
                tried += [
                    [*best[:band], (limit, best[band][1]), *best[band + 1 :]] for limit in limits
                ]
            values = [value(plan) for plan in tried]
            top = int(np.argmax(values))
            if values[top] > reached:
                best, reached = tried[top], values[top]
        if reached - before < LEAST_GAIN:
            break
    return best


def _merged(policy: Floats, bands: int) -> Bands:
    """Return evenly long bands of the states that are visited, each with its likeliest action."""
    visited = int(np.flatnonzero(np.ptp(policy, axis=1) > 0)[-1]) + 1
    stops = np.unique(np.round(np.linspace(0, visited, bands + 1)[1:]).astype(int))
    starts = [0, *stops[:-1].tolist()]
    likeliest = [int(policy[a:b].sum(axis=0).argmax()) for a, b in zip(starts, stops, strict=True)]
    ends = [*stops[:-1].tolist(), len(policy)]
    return list(zip(ends, likeliest, strict=True))


def tune_by_backlog(
    space: ThresholdSpace, *, loss_target: float, bands: int, seed: int, verify: bool
) -> ThresholdResult:
    """Find queue-aware thresholds of a gateway.

    Args:
        space: Thresholds of one chain on one device.
        loss_target: Largest loss ratio, in (0, 1).
        bands: Largest number of bands, >= 2.
        seed: Seed of the verification, >= 0.
        verify: Whether to simulate.

    Returns:
        The thresholds of each band; the deployment has those of the first, an empty device.

    Raises:
        InvalidInputError: If the deployment is no gateway, or no thresholds keep the target.
    """
    began = time.perf_counter()
    gateway = Gateway.of(space)
    queue = gateway.queue()
    plan = fitted_bands(queue, SAFETY * loss_target, bands)
    exact = queue.measures(np.eye(len(queue.accuracy))[_actions(plan)])
    spent = time.perf_counter() - began
    verified = None
    if verify:
        found = gateway.simulated(plan, seed)
        reach = NORMAL_95 * found.accuracy_offered_se
        verified = Judged(
            outcome=_outcome("simulation", found.loss_ratio, found.loss_ci95),
            accuracy_offered=found.accuracy_offered,
            accuracy_ci95=(found.accuracy_offered - reach, found.accuracy_offered + reach),
        )
    predicted = Judged(
        outcome=_outcome("analytic", exact.loss_ratio, None),
        accuracy_offered=exact.accuracy_offered,
    )
    first = gateway.thresholds[[plan[0][1]]]
    return ThresholdResult(
        deployment=space.of_thresholds(first, space.start_routing[None]).deployment(0),
        loss_target=loss_target,
        predicted=predicted,
        start=None,
        verified=verified,
        evaluations=len(queue.accuracy),
        seconds=spent,
        seconds_total=time.perf_counter() - began,
        status="completed",
        feasible=(verified or predicted).loss_ratio <= loss_target,
        bands=tuple((jobs, tuple(gateway.thresholds[a].tolist())) for jobs, a in plan),
    )


def _outcome(source: str, loss: float, ci95: tuple[float, float] | None) -> Outcome:
    return Outcome(source=source, loss_ratio=loss, ci95=ci95, chains={}, devices={})
