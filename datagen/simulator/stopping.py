"""When to stop: lengths that are given, and rules that look at what was found so far.

A rule plays longer and longer rounds, each from the start, and asks after each. What it decides
depends on the deployment and the options alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.evaluation import DeploymentBatch
from datagen.simulator.estimation import Estimates
from datagen.simulator.options import MOST_EVENTS, SimulationOptions
from datagen.simulator.standard_errors import Z_LEVEL

__all__ = ["NEGLIGIBLE_LOSS", "first_horizon", "is_reached", "require_affordable"]

DEFAULT_EVENTS = 1e6
"""Events per deployment where no length is asked for: about 1 % of error on a loss of 1 %."""

FIRST_EVENTS = 1e5
"""Events of the first round of a run to precision; each round doubles them."""

NEGLIGIBLE_LOSS = 1e-4
"""Upper bound of a loss ratio below which its relative error matters to nobody."""

SPARE = 1.1
"""What a first round by counts aims beyond: arrivals are random, and losses are still unknown."""


def first_horizon(
    batch: DeploymentBatch, index: int, rate: float, copies: int, options: SimulationOptions
) -> float:
    """Return the length of the first round, often the only one.

    Args:
        batch: Packed deployments.
        index: 0-based deployment.
        rate: Its events per second if nothing were lost.
        copies: How often the length is played.
        options: How long to simulate.

    Returns:
        Length [s].
    """
    if options.horizon is not None:
        return options.horizon
    most = options.max_events / (rate * copies)
    slowest = batch.chain_rate[batch.chain_start[index] : batch.chain_start[index + 1]].min()
    if options.offered is not None:
        return float(min(options.offered / (slowest * copies), most))
    if options.counts:
        share = options.warmup if isinstance(options.warmup, float | int) else 0.0
        wanted = SPARE * options.min_offered / (1.0 - share)
        return float(min(wanted / (slowest * copies), most))
    if options.stops_by_rule:
        return min(FIRST_EVENTS / (rate * copies), most)
    return (options.events or DEFAULT_EVENTS) / (rate * copies)


def is_reached(
    estimates: Estimates, deployments: int, options: SimulationOptions
) -> NDArray[np.bool_]:
    """Tell of which deployments every rule that was asked for is content.

    Args:
        estimates: What was found so far.
        deployments: How many they are, with equally many chains.
        options: What was asked for.

    Returns:
        False where there is need to go on [deployments].
    """
    chain, content = estimates.chain, np.ones(len(estimates.chain["offered"]), dtype=bool)
    if options.counts:
        offered, completed = chain["offered"], chain["completed"]
        content &= (offered >= options.min_offered) & (completed >= options.min_completed)
        content &= (chain["lost"] >= options.min_lost) | (offered >= options.enough_offered)
    if options.precision is not None:
        for name in ("throughput_ratio", "latency"):
            content &= Z_LEVEL * chain[f"{name}_se"] <= options.precision * chain[name]
    if options.loss_precision is not None:
        low, high = chain["loss_ratio_low"], chain["loss_ratio_high"]
        sharp = 0.5 * (high - low) <= options.loss_precision * chain["loss_ratio"]
        content &= sharp | (high < NEGLIGIBLE_LOSS)
    return np.asarray(content.reshape(deployments, -1).all(axis=1))


def require_affordable(events: float, options: SimulationOptions) -> None:
    """Refuse what would take for ever.

    Args:
        events: Expected events of a deployment.
        options: What asks for them.

    Raises:
        InvalidInputError: If they are more than ``MOST_EVENTS``.
    """
    field = "events" if options.horizon is None else "horizon"
    value = options.events if options.horizon is None else options.horizon
    rule = f"mean at most {MOST_EVENTS:g} expected events per deployment, not {events:.3g}"
    require(events <= MOST_EVENTS, field, rule, value)
