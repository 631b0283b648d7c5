"""The analytic evaluator: every device a queue of its own, joined by a fixed point of the flows.

Each device is taken as an M/G/c/K queue that serves the mix of its steps, with the mean and the
variability of the mixture. What a device loses thins the flow to the next step of a chain, so the
loads of the devices depend on each other; they are found by damped iteration. Waiting follows from
Little's law on the accepted jobs, and latency is the sum over steps of waiting and own service.

Flows between devices are smoother, or burstier, than Poisson arrivals: a busy device with constant
service sends jobs at constant distances. Their squared coefficient of variation (SCV) follows the
two-moment rules of the queueing network analyzer, and the loss formula is read at the service SCV
that gives the same sum of both, because diffusion limits see that sum only.

Buffers counted in units hold the capacity over the mean demand of the jobs.

References:
    Whitt, The queueing network analyzer, Bell System Technical Journal 62, 1983 (superposition,
    thinning, splitting and departures by two moments).
    Kerbache and MacGregor Smith, The generalized expansion method for open finite queueing
    networks, European Journal of Operational Research 32, 1987 (decomposition with finite buffers).
    Bolch, Greiner, de Meer and Trivedi, Queueing Networks and Markov Chains, 2nd ed., 2006, ch. 10.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datagen.analytic.tabulated import loss_and_jobs
from datagen.errors import require
from datagen.evaluation import DeploymentBatch, Effect, Evaluator, Measures
from datagen.evaluation.effects import refuse_uncovered
from datagen.evaluation.loads import unstable

__all__ = ["COVERS", "AnalyticEvaluator"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COVERS = (
    Effect.RANDOM_SERVICE
    | Effect.GENERAL_ARRIVALS
    | Effect.MULTI_SERVER
    | Effect.UNLIMITED_BUFFER
    | Effect.DEMAND
    | Effect.REVISIT
    | Effect.ROUTING
    | Effect.DEADLINE
)
"""What is covered; arrivals and service by two moments, deadlines without their attainment. Other
disciplines, links, exits, accelerators, parallel chains and blocking are refused."""

DEFAULT_ROUNDS = 30
"""Rounds after which the iteration stops at the latest; nearly all deployments settle in 13."""

DAMPING = 0.8
"""Weight of the new value: without it, two devices that feed each other may alternate for ever."""

CALMING = 0.6
"""Factor on the weight after a round that changed more than the one before."""

TOLERANCE = 1e-3
"""Largest change of a step's passing share in one round at which a deployment has settled. What is
left is a third of that at most, well below the error of the approximation."""

SCV_WEIGHT = 0.05
"""What a change of a flow's variability counts beside one of a passing share; it is the lesser."""

_NONE_PASSES = 1e-100
"""Stands for 0 where a job demands more units than there are: its logarithm exists, and all that
follows such a step is as good as nothing."""

_NEGLIGIBLE = 1e-50
"""Share of completed jobs below which nothing is said about their latency."""

_SMALLEST_SHARE = 1e-12
"""Keeps an idle device, on which no stream has a share, away from a division by zero."""

_SMALLEST_SUM = 0.1
"""Smallest sum of both SCVs: a device fed at constant distances with constant service would need no
room at all, which no real mix of flows reaches."""


@dataclass(frozen=True, kw_only=True)
class _Flows:
    """Steady flows of a batch: what the fixed point settles at.

    Args:
        rate: Arrival rate at each step [1/s] [S].
        passed: Share of them that is accepted [S], in (0, 1].
        jobs: Mean jobs at each device [D].
    """

    rate: Floats
    passed: Floats
    jobs: Floats


class _Network:
    """What does not change between the rounds of one batch, computed once.

    Args:
        batch: Packed deployments.
    """

    def __init__(self, batch: DeploymentBatch) -> None:
        self.batch = batch
        self.device: Ints = batch.step_device_row
        self.devices = len(batch.device_speed)
        self.chain: Ints = batch.step_chain
        counts = batch.counts("step")
        self.path: Ints = np.repeat(np.arange(len(counts)), counts)
        self.owner: Ints = batch.owner("step")
        self.first_of_deployment: Ints = batch.step_start[batch.path_start[batch.chain_start[:-1]]]
        self.first: Ints = batch.step_start[:-1]
        self.last: Ints = batch.step_start[1:] - 1
        share = batch.path_probability[self.path]
        self.source_rate: Floats = batch.chain_rate[self.chain] * share
        # A path that takes a random share p of a stream has SCV 1 + p (SCV - 1).
        self.source_scv: Floats = 1.0 + share * (batch.chain_scv[self.chain] - 1.0)
        self.second_moment: Floats = (1.0 + batch.step_scv) * batch.step_mean**2
        self.plain = bool(np.all(batch.step_demand == 1.0))
        self.fits = batch.step_demand <= batch.device_capacity[self.device]

    def per_device(self, values: Floats) -> Floats:
        """Sum values of steps over the devices they run on [D]."""
        sums = np.bincount(self.device, weights=values, minlength=self.devices)
        return np.asarray(sums, dtype=np.float64)

    def arrival_rates(self, passed: Floats) -> Floats:
        """Thin the rates along each path [S]."""
        logs = np.log(passed)
        before = np.cumsum(logs) - logs
        return np.asarray(self.source_rate * np.exp(before - before[self.first][self.path]))


class AnalyticEvaluator(Evaluator):
    """Evaluates by decomposition into single queues: no simulation, no training, all at once.

    Exact for one device with Poisson arrivals and exponential service, or with constant service to
    the accuracy of ``datagen.analytic.tabulated``; an approximation elsewhere.

    Args:
        rounds: Largest number of rounds of the fixed point, >= 1.

    Raises:
        InvalidInputError: If ``rounds`` is below one.
    """

    def __init__(self, rounds: int = DEFAULT_ROUNDS) -> None:
        require(rounds >= 1, "rounds", "be >= 1", rounds)
        self.rounds = rounds

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        refuse_uncovered("analytic", COVERS, batch.effects)
        network = _Network(batch)
        return _measures(network, _settled(network, self.rounds))


def _settled(network: _Network, rounds: int) -> _Flows:
    """Iterate the flows until they settle, each deployment at its own pace."""
    passed = np.ones(len(network.device))
    arrival_scv = network.source_scv
    damping = np.full(len(network.batch), DAMPING)
    change = np.full(len(network.batch), np.inf)
    for _ in range(rounds):
        rate = network.arrival_rates(passed)
        target, jobs, departing_scv = _played(network, rate, arrival_scv)
        thinner = target - passed
        smoother = _handed_on(network, departing_scv) - arrival_scv
        before = change
        size = np.maximum(np.abs(thinner), SCV_WEIGHT * np.abs(smoother))
        change = np.maximum.reduceat(size, network.first_of_deployment)
        moving = change > TOLERANCE
        if not moving.any():
            break
        damping = np.where(change > before, damping * CALMING, damping)
        gain = (damping * moving)[network.owner]
        passed = passed + gain * thinner
        arrival_scv = arrival_scv + gain * smoother
    return _Flows(rate=rate, passed=target, jobs=jobs)


def _handed_on(network: _Network, departing_scv: Floats) -> Floats:
    """SCV of the arrivals at each step: what the step before sends, or the source [S]."""
    scv = np.empty_like(departing_scv)
    scv[1:] = departing_scv[:-1]
    scv[network.first] = network.source_scv[network.first]
    return scv


def _played(network: _Network, rate: Floats, scv: Floats) -> tuple[Floats, Floats, Floats]:
    """One round: share passed [S], mean jobs [D] and SCV of the departures of each step [S]."""
    batch = network.batch
    total = network.per_device(rate)
    safe = np.maximum(total, np.finfo(float).tiny)
    work = network.per_device(rate * batch.step_mean)
    mean = work / safe
    square = network.per_device(rate * network.second_moment) / safe
    service_scv = np.maximum(square / np.where(mean > 0, mean, 1.0) ** 2 - 1.0, 0.0) * (mean > 0)
    load = work / batch.device_servers
    share = rate / safe[network.device]
    arrival_scv = _superposed(network, load, share, scv)
    room = batch.device_capacity
    if not network.plain:
        room = np.maximum(
            room / np.maximum(network.per_device(share * batch.step_demand), 1.0), 1.0
        )
    both = np.maximum(arrival_scv + service_scv, _SMALLEST_SUM)
    effective = np.maximum(both - 1.0, 0.0)
    # Below a sum of 1 no service law of M/G/1 helps; a longer room does, in the same proportion.
    capacity = 1.0 + (room - 1.0) / np.minimum(both, 1.0)
    loss, jobs = loss_and_jobs(load, effective, capacity, batch.device_servers)
    waiting = np.minimum(jobs - load * batch.device_servers * (1.0 - loss), room)
    passed = np.where(network.fits, (1.0 - loss)[network.device], _NONE_PASSES)
    busy = np.minimum(load * (1.0 - loss), 1.0)
    thinned = 1.0 + (1.0 - loss) * (arrival_scv - 1.0)
    served = 1.0 + (service_scv - 1.0) / np.sqrt(batch.device_servers)
    departing = (1.0 - busy**2) * thinned + busy**2 * served
    own = 1.0 + share * (departing[network.device] - 1.0)
    return passed, waiting + load * batch.device_servers * (1.0 - loss), own


def _superposed(network: _Network, load: Floats, share: Floats, scv: Floats) -> Floats:
    """SCV of the mixed arrivals at each device [D]."""
    streams = 1.0 / np.maximum(network.per_device(share**2), _SMALLEST_SHARE)
    mixed = network.per_device(share * scv)
    idle = 1.0 - np.minimum(load, 1.0)
    weight = 1.0 / (1.0 + 4.0 * idle**2 * (streams - 1.0))
    return np.asarray(1.0 + weight * (mixed - 1.0))


def _measures(network: _Network, flows: _Flows) -> Measures:
    batch = network.batch
    accepted = flows.rate * flows.passed
    leaving = network.per_device(accepted)
    work = network.per_device(accepted * batch.step_mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        waiting = np.maximum(flows.jobs - work, 0.0) / leaving
        sojourn = waiting[network.device] + batch.step_mean
        chain = _chain_measures(network, accepted, sojourn)
    idle = leaving <= 0
    device = {"utilization": work / batch.device_servers, "jobs": np.where(idle, 0.0, flows.jobs)}
    step = {"sojourn": sojourn}
    no_steady_state = unstable(batch)
    reason = None
    if no_steady_state.any():
        for level, columns in (("chain", chain), ("step", step), ("device", device)):
            hidden = no_steady_state[batch.owner(level)]
            for name, values in columns.items():
                columns[name] = np.where(hidden, np.nan, values)
        said = "an unlimited buffer has load >= 1"
        reason = tuple(said if flag else None for flag in no_steady_state)
    return Measures.of(
        batch,
        "analytic",
        deployment={"unstable": no_steady_state, "saturated": _saturated(network, flows)},
        chain=chain,
        step=step,
        device=device,
        reason=reason,
    )


def _saturated(network: _Network, flows: _Flows) -> NDArray[np.bool_]:
    batch = network.batch
    load = network.per_device(flows.rate * batch.step_mean) / batch.device_servers
    over = np.isfinite(batch.device_capacity) & (load >= 1.0)
    return np.bincount(batch.owner("device"), weights=over, minlength=len(batch)) > 0


def _chain_measures(network: _Network, accepted: Floats, sojourn: Floats) -> dict[str, Floats]:
    batch = network.batch
    chains = len(batch.chain_rate)
    completed = accepted[network.last]  # [P]
    chain_of_path = network.chain[network.first]
    throughput = np.bincount(chain_of_path, weights=completed, minlength=chains)
    ratio = np.minimum(throughput / batch.chain_rate, 1.0)

    def mean_over_paths(values: Floats) -> Floats:
        total = np.add.reduceat(values, network.first)
        latency = np.bincount(chain_of_path, weights=completed * total, minlength=chains)
        return np.where(ratio > _NEGLIGIBLE, latency / throughput, np.nan)

    latency = mean_over_paths(sojourn)
    return {
        "throughput": np.where(ratio > _NEGLIGIBLE, throughput, 0.0),
        "throughput_ratio": np.where(ratio > _NEGLIGIBLE, ratio, 0.0),
        "loss_ratio": 1.0 - np.where(ratio > _NEGLIGIBLE, ratio, 0.0),
        "latency": latency,
        "latency_ratio": mean_over_paths(batch.step_mean) / latency,
    }
