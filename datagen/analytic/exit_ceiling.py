"""How accurate single-exit policies of one device can be: the ceiling that thresholds are held to.

One server, Poisson arrivals, a buffer of K jobs, the one in service included. When a service starts
one exit is chosen for that job; the exit fixes how long it is served and how often it is right.

- *Queue-aware*: the choice may depend on the jobs present. Service starts are the epochs of a
  semi-Markov decision process, and the best policy is read off a linear program over x[n, e], the
  rate of services that start at exit e while n jobs are present.
- *Static*: the choice is drawn from one mix, whatever the queue. The same chain of service starts
  gives the exact loss of a mix; the best mix is found by sequential quadratic programming from
  the best mixes of two exits, as the problem is not concave.

Lost jobs count as wrong, in both.

References:
    Puterman, Markov Decision Processes, 1994, ch. 11.4 (average reward, occupation measures).
    Takagi, Queueing Analysis, vol. 2: Finite Systems, 1993, ch. 5 (the chain of service starts).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import LinearConstraint, NonlinearConstraint, linprog, minimize

from datagen.analytic.arrival_counts import ArrivalCounts
from datagen.errors import InvalidInputError, require

__all__ = ["ExitPolicyMeasures", "ExitQueue"]

Floats = NDArray[np.float64]

LOSS_SLACK = 1e-9
"""Slack of the loss limit, in absolute terms: below the tolerance of either solver."""

LARGEST_STEPS = 200
"""Rounds of one quadratic program; a few dozen are usual."""

LEAST_GAIN = 1e-12
"""Gain of a state's choice below which policy iteration keeps the choice it has: rounding."""

CLIMBED = 4
"""Best starts that are improved: on CEED's profile all of them lead to one optimum."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExitPolicyMeasures:
    """What a policy reaches.

    Args:
        policy: Probability of each exit when 1..K jobs are present at the start of a service, the
            job itself included [K, E]; a row that never occurs is uniform.
        loss_ratio: Jobs that find the buffer full / offered.
        mix: Share of the served jobs that leave at each exit [E].
        accuracy_offered: Right answers / offered, a lost job being wrong.
        accuracy_completed: Right answers / served.
    """

    policy: Floats
    loss_ratio: float
    mix: Floats
    accuracy_offered: float
    accuracy_completed: float


class ExitQueue:
    """One device whose jobs are served up to an exit chosen when their service starts.

    Args:
        arrival_rate: Poisson arrival rate [1/s], > 0.
        services: Arrivals during a service that ends at each exit, for this rate, all of the same
            capacity K [E].
        accuracy: Share of right answers of each exit, in [0, 1] [E].

    Raises:
        InvalidInputError: If an argument is out of range or shapes differ.

    Example:
        >>> from datagen.analytic.arrival_counts import deterministic_counts
        >>> services = [deterministic_counts(2.0 * t, 3) for t in (0.1, 1.0)]
        >>> queue = ExitQueue(2.0, services, (0.5, 0.9))
        >>> best, fixed = queue.queue_aware(0.05), queue.static(0.05)
        >>> best.accuracy_offered > fixed.accuracy_offered
        True
    """

    def __init__(
        self, arrival_rate: float, services: Sequence[ArrivalCounts], accuracy: ArrayLike
    ) -> None:
        require(arrival_rate > 0, "arrival_rate", "be > 0", arrival_rate)
        require(len(services) > 0, "services", "hold at least one exit", services)
        capacities = {counts.capacity for counts in services}
        require(len(capacities) == 1, "services", "be of one capacity", sorted(capacities))
        self.arrival_rate = float(arrival_rate)
        self.capacity = capacities.pop()
        self._next = np.stack([self._moves(counts) for counts in services])
        self.accuracy = self._checked(accuracy)
        # Time from one service start to the next [s]: the service, and the wait for an arrival
        # where nobody is left.
        load = np.array([float(counts.load) for counts in services])
        none = np.array([float(counts.none) for counts in services])
        self._cycle = np.repeat(load[:, None], self.capacity, axis=1)
        self._cycle[:, 0] += none
        self._cycle /= self.arrival_rate

    def _checked(self, accuracy: ArrayLike) -> Floats:
        values, exits = np.array(accuracy, dtype=np.float64), len(self._next)
        require(values.shape == (exits,), "accuracy", f"have shape ({exits},)", values.shape)
        require(bool(np.all((values >= 0) & (values <= 1))), "accuracy", "lie in [0, 1]", accuracy)
        return values

    def _moves(self, counts: ArrivalCounts) -> Floats:
        """Return the law of the jobs at the next service start, by the jobs at this one [K, K]."""
        capacity = self.capacity
        at_least = np.concatenate([[1.0], counts.exceed])  # P(A >= k), k = 0..K
        exactly = at_least[:-1] - at_least[1:]  # P(A = k), k = 0..K-1
        exactly[0] = float(counts.none)
        moves = np.zeros((capacity, capacity))
        for jobs in range(1, capacity + 1):
            room = capacity - jobs
            left = np.zeros(capacity)  # jobs left behind: jobs - 1 + min(A, room)
            left[jobs - 1 : jobs - 1 + room] = exactly[:room]
            left[capacity - 1] += at_least[room]
            moves[jobs - 1, : capacity - 1] = left[1:]
            moves[jobs - 1, 0] += left[0]  # an empty device waits for the next arrival
        return moves

    def measures(self, policy: ArrayLike) -> ExitPolicyMeasures:
        """Return what a policy reaches, exactly.

        Args:
            policy: Probabilities of the exits by the jobs present at a service start [K, E], or one
                mix for all [E].

        Returns:
            Its measures.

        Raises:
            InvalidInputError: If it does not hold probabilities.
        """
        given = np.asarray(policy, dtype=np.float64)
        shape = (self.capacity, len(self.accuracy))
        shaped = given.shape in (shape, shape[1:])
        require(shaped, "policy", f"have shape {shape} or {shape[1:]}", given.shape)
        sums = np.all(given >= 0) and np.allclose(given.sum(axis=-1), 1.0)
        require(bool(sums), "policy", "hold probabilities that sum to 1", policy)
        chosen = np.broadcast_to(given, shape)
        moves = np.einsum("ne,enm->nm", chosen, self._next)
        share = _stationary(moves)
        cycle = float(np.einsum("n,ne,en->", share, chosen, self._cycle))
        return self._measures(share[:, None] * chosen / cycle, chosen)

    def _measures(self, started: Floats, policy: Floats) -> ExitPolicyMeasures:
        """Derive the measures from the rates of services started [K, E]."""
        total = float(started.sum())
        mix = started.sum(axis=0) / total
        right = float(mix @ self.accuracy)
        served = min(total / self.arrival_rate, 1.0)
        return ExitPolicyMeasures(
            policy=np.array(policy),
            loss_ratio=1.0 - served,
            mix=mix,
            accuracy_offered=served * right,
            accuracy_completed=right,
        )

    def queue_aware(self, loss_target: float) -> ExitPolicyMeasures:
        """Return the best policy that sees the queue.

        Args:
            loss_target: Largest loss ratio, in [0, 1].

        Returns:
            The optimum; nothing that chooses one exit per job by the jobs present is better.

        Raises:
            InvalidInputError: If no policy keeps the target.
        """
        exits, capacity = len(self.accuracy), self.capacity
        # x[e, n] / arrival_rate, so that its sum is the share served.
        leaving = np.tile(np.eye(capacity), (1, exits))
        entering = np.concatenate([moves.T for moves in self._next], axis=1)
        time = (self._cycle * self.arrival_rate).reshape(1, -1)
        found: Any = linprog(
            -np.repeat(self.accuracy, capacity),
            A_ub=-np.ones((1, exits * capacity)),
            b_ub=np.array([loss_target - 1.0]),
            A_eq=np.concatenate([leaving - entering, time]),
            b_eq=np.append(np.zeros(capacity), 1.0),
            method="highs",
        )
        if not found.success:
            raise self._impossible(loss_target)
        started = np.maximum(found.x, 0.0).reshape(exits, capacity).T * self.arrival_rate
        sums = started.sum(axis=1, keepdims=True)
        known = sums > 0
        policy = np.where(known, started / np.where(known, sums, 1.0), 1.0 / exits)
        return self._measures(started, policy)

    def valued(self, accuracy: ArrayLike) -> ExitQueue:
        """Return the same queue where exits are worth something else; it shares all arrays.

        Args:
            accuracy: Share of right answers of each exit, in [0, 1] [E].

        Returns:
            A new queue.
        """
        other = copy(self)
        other.accuracy = self._checked(accuracy)
        return other

    def priced(self, price: float) -> ExitPolicyMeasures:
        """Return the policy of most accuracy over offered less a price of the loss ratio.

        It is the optimum of :meth:`queue_aware` for the loss that it comes to, found by policy
        iteration, a hundred times as fast as the linear program; it never draws exits.

        Args:
            price: Accuracy that a lost job costs beyond being wrong, > -1.

        Returns:
            The optimum.

        Raises:
            InvalidInputError: If the price is out of range.

        References:
            Puterman, Markov Decision Processes, 1994, ch. 11.4.4.
        """
        require(price > -1, "price", "be > -1", price)
        # A service earns what it gets right, and the price of a job that is not lost.
        earned = self.accuracy[:, None] + price  # [E, 1]
        time, states = self._cycle * self.arrival_rate, np.arange(self.capacity)
        chosen = np.full(self.capacity, int(self.accuracy.argmax()))
        for _ in range(LARGEST_STEPS):
            # Relative values h and the gain g: earned - g time + P h = h, h of one job being 0.
            system = np.eye(self.capacity) - self._next[chosen, states]
            system[:, 0] = time[chosen, states]
            found = np.linalg.solve(system, earned[chosen, 0])
            gain, values = found[0], np.concatenate([[0.0], found[1:]])
            worth = earned - gain * time + self._next @ values  # [E, K]
            better = worth.max(axis=0) > worth[chosen, states] + LEAST_GAIN
            if not better.any():
                break
            chosen = np.where(better, worth.argmax(axis=0), chosen)
        return self.measures(np.eye(len(self.accuracy))[chosen])

    def static(self, loss_target: float) -> ExitPolicyMeasures:
        """Return the best mix that ignores the queue.

        Args:
            loss_target: Largest loss ratio, in [0, 1].

        Returns:
            The optimum.

        Raises:
            InvalidInputError: If no mix keeps the target.
        """
        starts = [self.measures(mix) for mix in self._starts(loss_target)]
        if not starts:
            raise self._impossible(loss_target)
        starts.sort(key=lambda found: -found.accuracy_offered)
        ends = [self.measures(self._climbed(s.mix, loss_target)) for s in starts[:CLIMBED]]
        limit = loss_target + LOSS_SLACK
        kept = [found for found in (*starts, *ends) if found.loss_ratio <= limit]
        return max(kept, key=lambda found: found.accuracy_offered)

    def _starts(self, loss_target: float) -> Iterator[Floats]:
        """Yield the mixes of one or two exits that just keep the target."""
        exits = np.eye(len(self.accuracy))
        loss = [self.measures(mix).loss_ratio for mix in exits]
        for mix, lost in zip(exits, loss, strict=True):
            if lost <= loss_target + LOSS_SLACK:
                yield mix
        for one, other in combinations(range(len(exits)), 2):
            if (loss[one] <= loss_target) == (loss[other] <= loss_target):
                continue
            keeps, breaks = (one, other) if loss[one] <= loss_target else (other, one)
            low, high = 0.0, 1.0
            while high - low > LOSS_SLACK:
                share = 0.5 * (low + high)
                mix = (1.0 - share) * exits[keeps] + share * exits[breaks]
                kept = self.measures(mix).loss_ratio <= loss_target
                low, high = (share, high) if kept else (low, share)
            yield (1.0 - low) * exits[keeps] + low * exits[breaks]

    def _climbed(self, start: Floats, loss_target: float) -> Floats:
        """Improve a mix; what comes out is a mix, but may break the target."""
        exits = len(self.accuracy)

        def measured(mix: Floats) -> ExitPolicyMeasures:
            inside = np.maximum(mix, 0.0)
            return self.measures(inside / inside.sum())

        def wrong(mix: Floats) -> float:
            return -measured(mix).accuracy_offered

        def loss(mix: Floats) -> Floats:
            return np.array([measured(mix).loss_ratio])

        found: Any = minimize(
            wrong,
            start,
            method="SLSQP",
            bounds=[(0.0, 1.0)] * exits,
            constraints=[
                LinearConstraint(np.ones((1, exits)), 1.0, 1.0),
                NonlinearConstraint(loss, -np.inf, loss_target - LOSS_SLACK),
            ],
            options={"maxiter": LARGEST_STEPS},
        )
        mix = np.maximum(found.x, 0.0)
        return np.asarray(mix / mix.sum())

    def _impossible(self, loss_target: float) -> InvalidInputError:
        least = min(self.measures(mix).loss_ratio for mix in np.eye(len(self.accuracy)))
        return InvalidInputError("loss_target", f"be >= {least:.3g}, what can be kept", loss_target)


def _stationary(moves: Floats) -> Floats:
    """Return the long-run shares of the states of a chain in discrete time [K]."""
    balance = moves.T - np.eye(len(moves))
    balance[-1] = 1.0
    right = np.zeros(len(moves))
    right[-1] = 1.0
    return np.asarray(np.maximum(np.linalg.solve(balance, right), 0.0), dtype=np.float64)
