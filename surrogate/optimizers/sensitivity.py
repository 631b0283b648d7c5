"""What moving any fragment to any device would change, from one gradient through a network.

The placement is relaxed: a small share of the jobs of a fragment may be served elsewhere. Forward,
the network sees the hard placement; backward, the effect of a move has three parts.

- *Price of work.* Slowing a device down is the same as giving it more work, so the gradient with
  respect to the service times on a device, over its work, is the price of one more second of work
  per second there. The new device charges it, the old one pays it back.
- *Exposure.* The moved jobs meet the losses and waits of the new device in place of the old one's.
- *Overflow.* A whole fragment is no small share, and a device with room to spare asks no price: to
  first order every move there is free. Losses are convex in the load, so that two lines lie below
  them: the tangent, which is the price, and what an ideal queue could not help losing, the load
  above 1. The larger one is taken.

On random deployments the rank correlation of these estimates with the true effect of all single
moves is 0.4 to 0.9; without the last part it is about zero at balanced placements.

References:
    Bengio, Leonard and Courville, Estimating or propagating gradients through stochastic neurons
    for conditional computation, arXiv:1308.3432, 2013 (hard forward, soft backward).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datagen.deployment import run_starts
from datagen.errors import NotSupportedError
from datagen.evaluation import DeploymentBatch
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.models import Prediction
from surrogate.optimizers.objective import Latency, Mix, Objective, SystemLoss, Throughput
from surrogate.optimizers.space import Placements, PlacementSpace

__all__ = ["differentiable_values", "move_effects", "require_differentiable"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@singledispatch
def differentiable_values(
    objective: Objective, batch: DeploymentBatch, prediction: Prediction
) -> Tensor:
    """Return an objective with its gradient.

    Args:
        objective: What is minimised.
        batch: The deployments.
        prediction: What a network predicts of them.

    Returns:
        Values [B], those of ``objective.values`` but for rounding.

    Raises:
        NotSupportedError: If the objective has no such form.
    """
    raise NotSupportedError("the gradient search", objective.name)


@differentiable_values.register
def _(objective: SystemLoss, batch: DeploymentBatch, prediction: Prediction) -> Tensor:
    rate = _rates(batch)
    lost = _by_deployment(batch, rate * prediction.loss_ratio)
    return lost / _by_deployment(batch, rate)


@differentiable_values.register
def _(objective: Throughput, batch: DeploymentBatch, prediction: Prediction) -> Tensor:
    weight = torch.from_numpy(objective.chain_weights(batch.chain_names, len(batch.chain_rate)))
    return -_by_deployment(batch, weight * _rates(batch) * prediction.throughput_ratio)


@differentiable_values.register
def _(objective: Latency, batch: DeploymentBatch, prediction: Prediction) -> Tensor:
    weight = torch.from_numpy(objective.chain_weights(batch.chain_names, len(batch.chain_rate)))
    total = _by_deployment(batch, weight * prediction.latency)
    return total / _by_deployment(batch, weight)


@differentiable_values.register
def _(objective: Mix, batch: DeploymentBatch, prediction: Prediction) -> Tensor:
    terms = [
        weight * differentiable_values(part, batch, prediction)
        for part, weight in objective.parts.items()
    ]
    return torch.stack(terms).sum(dim=0)


def require_differentiable(objective: Objective) -> None:
    """Raise unless an objective has a gradient.

    Args:
        objective: What is minimised.

    Raises:
        NotSupportedError: If it has none.
    """
    for part in objective.parts if isinstance(objective, Mix) else [objective]:
        if differentiable_values.dispatch(type(part)) is differentiable_values.dispatch(Objective):
            raise NotSupportedError("the gradient search", part.name)


def _rates(batch: DeploymentBatch) -> Tensor:
    return torch.tensor(batch.chain_rate)


def _by_deployment(batch: DeploymentBatch, values: Tensor) -> Tensor:
    owner = torch.from_numpy(batch.owner("chain"))
    return torch.zeros(len(batch), dtype=values.dtype).index_add(0, owner, values)


@dataclass(frozen=True, kw_only=True)
class _Steps:
    """Steps of B deployments in the order of the batch [S], and what hangs on them.

    Args:
        device: Device row over the whole batch.
        rate: Arrivals after the losses upstream [1/s].
        mean: Service time [s].
        log_passed: Logarithm of the share passed.
        wait: Mean wait [s].
        by_work: Gradient of the value with respect to the service time, as far as it is a load.
        by_passed: The same with respect to ``log_passed``.
        by_time: The same with respect to the time spent at the step.
    """

    device: Ints
    rate: Floats
    mean: Floats
    log_passed: Floats
    wait: Floats
    by_work: Floats
    by_passed: Floats
    by_time: Floats


def _differentiated(network: nn.Module, objective: Objective, batch: DeploymentBatch) -> _Steps:
    """Predict a batch and differentiate the objective."""
    arrays = flow_arrays(batch)
    with torch.enable_grad():
        mean = arrays.step_mean.clone().requires_grad_()
        prediction: Prediction = network(replace(arrays, step_mean=mean))
        value = differentiable_values(objective, batch, prediction)
        by_mean, by_passed, by_time = torch.autograd.grad(
            value.sum(),
            [mean, prediction.step_log_passed, prediction.step_sojourn],
            allow_unused=True,
            materialize_grads=True,
        )
    log_passed = _in_batch_order(arrays, prediction.step_log_passed)
    before = np.cumsum(log_passed) - log_passed
    first = batch.step_start[:-1]
    path = np.repeat(np.arange(len(first)), batch.counts("step"))
    chain_rate = batch.chain_rate[batch.step_chain] * batch.path_probability[path]
    service = _in_batch_order(arrays, arrays.step_mean)
    return _Steps(
        device=batch.step_device_row,
        rate=chain_rate * np.exp(before - before[first][path]),
        mean=service,
        log_passed=log_passed,
        wait=_in_batch_order(arrays, prediction.step_sojourn) - service,
        by_work=_in_batch_order(arrays, by_mean - by_time),
        by_passed=_in_batch_order(arrays, by_passed),
        by_time=_in_batch_order(arrays, by_time),
    )


def _in_batch_order(arrays: FlowArrays, values: Tensor) -> Floats:
    ordered = np.empty(len(values))
    ordered[arrays.step_row.numpy()] = values.detach().numpy()
    return ordered


def move_effects(
    network: nn.Module, objective: Objective, space: PlacementSpace, placement: Placements
) -> Floats:
    """Estimate what every move of one fragment would change.

    Args:
        network: Predicts measures, with gradients to service times.
        objective: What is minimised.
        space: The placements of the problem.
        placement: Device index per slot [B, F], each allowed.

    Returns:
        Estimated change of the objective [B, F, D]; infinity where a slot is already or may not be.

    Raises:
        NotSupportedError: If the objective has no gradient.
    """
    count = len(placement)
    batch = space.candidates(placement).batch(laws=False)
    steps = _differentiated(network, objective, batch)
    shape = (count, 1, space.devices)

    def by_device(values: Floats) -> Floats:
        total = np.bincount(steps.device, weights=values, minlength=count * space.devices)
        return total.reshape(shape)

    arrivals = by_device(steps.rate)
    work = by_device(steps.rate * steps.mean)
    some = np.where(work > 0, work, np.inf)  # an idle device asks no price and loses nothing
    price = by_device(steps.mean * steps.by_work) / some
    each = np.where(arrivals > 0, arrivals, np.inf)
    log_passed = by_device(steps.rate * steps.log_passed) / each  # [B, 1, D]
    wait = by_device(steps.rate * steps.wait) / each

    starts = run_starts(placement, space.tables.path_first, space.base.fuse)
    step = (np.cumsum(starts.ravel()) - 1).reshape(placement.shape)  # [B, F]
    here = placement[:, :, None].astype(np.int64)
    there = np.nan_to_num(space.tables.moments[0])[None]  # [1, F, D]
    service = np.take_along_axis(np.broadcast_to(there, (count, *there.shape[1:])), here, axis=2)
    rate, by_passed, by_time = (
        values[step][:, :, None] for values in (steps.rate, steps.by_passed, steps.by_time)
    )  # [B, F, 1]
    share = service / np.maximum(steps.mean[step][:, :, None], np.finfo(np.float64).tiny)
    servers = space.tables.devices["device_servers"]
    lost = _overflow(work, arrivals, servers, rate, there)
    arriving = np.maximum(rate * there * price, -by_passed / np.maximum(rate, 1e-12) * lost)
    leaving = (
        rate
        * service
        * np.take_along_axis(
            np.broadcast_to(price, (count, space.slots, space.devices)), here, axis=2
        )
    )
    exposure = by_passed * (log_passed - share * steps.log_passed[step][:, :, None]) + by_time * (
        wait + there - service - share * steps.wait[step][:, :, None]
    )
    effect = arriving - leaving + exposure
    may = space.allowed[None] & (np.arange(space.devices) != here)
    return np.where(may, effect, np.inf)


def _overflow(
    work: Floats, arrivals: Floats, servers: Floats, rate: Floats, mean: Floats
) -> Floats:
    """Return the jobs that even an ideal queue would lose more with a slot more [1/s] [B, F, D]."""
    after = work + rate * mean
    beyond = np.maximum(after - servers, 0.0) - np.maximum(work - servers, 0.0)
    return np.asarray(beyond * (arrivals + rate) / np.maximum(after, np.finfo(np.float64).tiny))
