"""The analytic evaluator: every device a queue of its own, joined by a fixed point of the flows.

Each device is taken as an M/G/c/K queue that serves the mix of its steps, with the mean and the
variability of the mixture. What a device loses thins the flow to the next step of a chain, so the
loads of the devices depend on each other; they are found by iteration. Waiting follows from
Little's law on the accepted jobs, and latency is the sum over steps of waiting and own service.

Flows between devices are smoother, or burstier, than Poisson arrivals. Four rules say what that
changes; c is a squared coefficient of variation (SCV), rho the load and b the share of busy time.

- **Departures.** A device pauses after a job that leaves it empty, for the rest of an interarrival
  time. So the times between departures have SCV
  b^2 c_service + (1 - b) (2 b/rho - 1 + b) c_arrival, which is exact for M/G/1/K, and the queueing
  network analyzer's rule where nothing is lost. Streams split and mix by that analyzer's rules.
- **Waiting once.** Jobs of one stream that were served one by one are apart by that service at
  least, and have waited for each other already: a line of devices with constant service waits as
  long in all as the slowest one would alone, and behind a slower device nobody waits at all. A
  stream that is a share p of a device's arrivals waits for itself with weight p; there its SCV
  counts as no more than the part of its wait that exceeds the one behind its longest service so
  far. In a line without other streams it counts as no less than that part of the source's SCV
  either, but for what losses smooth.
- **Heavy traffic.** The loss formula is read at the service SCV that gives the same sum of both,
  as diffusion limits see that sum only. Below a sum v of 1 it is read at a room 1/v as long, and
  the line it tells is v times shorter.
- **Light traffic.** Where arrivals are smoother than Poisson, fewer jobs meet at all: waiting and
  loss are reduced by Kraemer and Langenbach-Belz's factor.

Buffers counted in units hold the capacity over the mean demand of the jobs.

References:
    Whitt, The queueing network analyzer, Bell System Technical Journal 62, 1983 (superposition,
    thinning, splitting and departures by two moments).
    Friedman, Reduction methods for tandem queuing systems, Operations Research 13, 1965 (constant
    service: only the slowest device makes jobs wait).
    Kraemer and Langenbach-Belz, Approximate formulae for the delay in the queueing system GI/G/1,
    8th International Teletraffic Congress, 1976.
    Kerbache and MacGregor Smith, The generalized expansion method for open finite queueing
    networks, European Journal of Operational Research 32, 1987 (decomposition with finite buffers).
    Bolch, Greiner, de Meer and Trivedi, Queueing Networks and Markov Chains, 2nd ed., 2006, ch. 10.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.analytic.decomposition_kernel import settle
from datagen.analytic.md1k_table import grid
from datagen.analytic.stream_kernel import Devices, Flows, Steps
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

DEFAULT_ROUNDS = 100
"""Rounds after which the iteration stops at the latest; nearly all deployments settle in ten."""

TOLERANCE = 3e-4
"""Largest change of a step's passing share in one round at which a deployment has settled. What is
left is a third of that at most, well below the error of the approximation."""

_NEGLIGIBLE = 1e-50
"""Share of completed jobs below which nothing is said about their latency."""


class AnalyticEvaluator(Evaluator):
    """Evaluates by decomposition into single queues: no simulation, no training, compiled.

    Exact for one device with Poisson arrivals and exponential service, or with constant service to
    the accuracy of ``datagen.analytic.tabulated``; an approximation elsewhere. Stability is judged
    by the conservative fluid test of :func:`datagen.evaluation.loads.unstable`.

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
        steps = _steps(batch)
        count, devices = len(batch.step_mean), len(batch.device_speed)
        flows = Flows(*np.empty((len(Flows._fields), count)))
        queues = Devices(*np.empty((len(Devices._fields), devices)))
        settle(steps, flows, queues, grid(), self.rounds, TOLERANCE)
        return _measures(batch, flows, queues)


def _steps(batch: DeploymentBatch) -> Steps:
    """Return what the kernel reads, in the types it is compiled for."""
    length = batch.counts("step")
    share = np.repeat(batch.path_probability, length)
    position = np.arange(len(share)) - np.repeat(batch.step_start[:-1], length)
    return Steps(
        deployment_path=_ints(batch.path_start[batch.chain_start]),
        path_step=_ints(batch.step_start),
        deployment_device=_ints(batch.device_start),
        device=_ints(batch.step_device_row),
        position=_ints(position),
        partner=_partners(batch.step_device_row, position),
        source_rate=_floats(batch.chain_rate[batch.step_chain] * share),
        # A path that takes a random share p of a stream has SCV 1 + p (SCV - 1).
        source_scv=_floats(1.0 + share * (batch.chain_scv[batch.step_chain] - 1.0)),
        mean=_floats(batch.step_mean),
        scv=_floats(batch.step_scv),
        demand=_floats(batch.step_demand),
        servers=_floats(batch.device_servers),
        capacity=_floats(batch.device_capacity),
    )


def _partners(device: Ints, position: Ints) -> Ints:
    """Return of each step the next one that ends the same hop, in a ring [S]."""
    partner = np.arange(len(device))
    inner = np.flatnonzero(position > 0)
    hop = device[inner - 1] * (device.max(initial=0) + 1) + device[inner]
    order = np.argsort(hop, kind="stable")
    inner, hop = inner[order], hop[order]
    first = np.flatnonzero(np.diff(hop, prepend=-1))
    following = np.roll(inner, -1)
    following[np.append(first[1:], len(inner)) - 1] = inner[first]
    partner[inner] = following
    return partner


def _ints(values: ArrayLike) -> Ints:
    """Copy to what the kernel is compiled for: contiguous, and writable as far as types go."""
    return np.array(values, dtype=np.int64, order="C")


def _floats(values: ArrayLike) -> Floats:
    """Copy to what the kernel is compiled for."""
    return np.array(values, dtype=np.float64, order="C")


def _measures(batch: DeploymentBatch, flows: Flows, queues: Devices) -> Measures:
    accepted = flows.rate * flows.accepted
    work = _per_device(batch, accepted * batch.step_mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        sojourn = flows.wait + batch.step_mean
        chain = _chain_measures(batch, accepted, sojourn)
    jobs = _per_device(batch, np.where(accepted > 0.0, accepted * sojourn, 0.0))
    device = {"utilization": work / batch.device_servers, "jobs": jobs}
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
        deployment={"unstable": no_steady_state, "saturated": _saturated(batch, queues)},
        chain=chain,
        step=step,
        device=device,
        reason=reason,
    )


def _per_device(batch: DeploymentBatch, values: Floats) -> Floats:
    """Sum values of steps over the devices they run on [D]."""
    devices = len(batch.device_speed)
    return np.bincount(batch.step_device_row, weights=values, minlength=devices).astype(np.float64)


def _saturated(batch: DeploymentBatch, queues: Devices) -> NDArray[np.bool_]:
    over = np.isfinite(batch.device_capacity) & (queues.work >= batch.device_servers)
    return np.bincount(batch.owner("device"), weights=over, minlength=len(batch)) > 0


def _chain_measures(batch: DeploymentBatch, accepted: Floats, sojourn: Floats) -> dict[str, Floats]:
    chains = len(batch.chain_rate)
    first, last = batch.step_start[:-1], batch.step_start[1:] - 1
    completed = accepted[last]  # [P]
    chain_of_path = batch.step_chain[first]
    throughput = np.bincount(chain_of_path, weights=completed, minlength=chains)
    ratio = np.minimum(throughput / batch.chain_rate, 1.0)
    some = ratio > _NEGLIGIBLE

    def mean_over_paths(values: Floats) -> Floats:
        total = np.add.reduceat(values, first)
        latency = np.bincount(chain_of_path, weights=completed * total, minlength=chains)
        return np.where(some, latency / throughput, np.nan)

    latency = mean_over_paths(sojourn)
    passed = np.where(some, ratio, 0.0)
    return {
        "throughput": np.where(some, throughput, 0.0),
        "throughput_ratio": passed,
        "loss_ratio": 1.0 - passed,
        "latency": latency,
        "latency_ratio": mean_over_paths(batch.step_mean) / latency,
    }
