"""The feature group of batching accelerators, and the prior of the queues in front of them.

The plain features take an accelerator for a device that serves one sample at a time. This group
adds how batches form and what they cost, as ratios of times and counts, and replaces the prior of
loss and wait by that of a queue with batches (:mod:`surrogate.features.batch_queue_kernel`).
Upstream and downstream of it the decomposition goes on as if samples were served one by one, each
in its share of the best batch.

Jobs have to visit an accelerator in one step, see :mod:`datagen.evaluation.exit_paths`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datagen.evaluation import DeploymentBatch
from datagen.evaluation.loads import step_work
from datagen.npu import BATCH_POLICIES
from surrogate.features.accelerators import Visits, is_accelerator, said_of, visits
from surrogate.features.arrays import FlowArrays
from surrogate.features.batch_queue_kernel import Said
from surrogate.features.bunches import bunched, bunches
from surrogate.features.bursts import dispersion, gap_scv
from surrogate.features.group import Columns, FeatureGroup, FeatureNames, packed
from surrogate.features.prior import Prior
from surrogate.features.turns import precedence, waits

__all__ = ["Batching"]

Floats = NDArray[np.float64]

SIZES = (2, 4, 8)
"""Batches whose cost per sample is told."""

LEAST = 1e-6
"""Smallest ratio whose logarithm is told apart."""

MOST_WAIT = 1e4
"""Longest wait for company that is told apart, over the time of a sample alone."""

_BUNCH = (
    "jobs that come at once (log)",
    "jobs that come at once / capacity (log)",
)
_STEP = (
    "on an accelerator (0 or 1)",
    "time in the company expected / time alone (log)",
    "time in a full batch / (largest batch x time alone) (log)",
    "time alone / longest time alone of its line (log)",
    "share of the accelerator's samples that are of its line",
    "share of its line's samples",
    "time until its line has filled a batch / time alone (log1p)",
    "samples of its line in a time-out (log1p)",
    "wait by batches / time alone (log1p)",
    "deadline / time alone (log; 0 if none)",
    "deadline / mean deadline on the accelerator (log; 0 if none)",
    "how much earlier the others' deadlines are / wait by batches (-1 to 1; 0 if none)",
    "time until its line has filled a batch / wait by batches (log)",
    "samples of its line in its batch by batches (log)",
    "wait of its line by batches / time alone (log1p)",
    *_BUNCH,
)
_DEVICE = (
    "is an accelerator (0 or 1)",
    *(f"policy is {name} (0 or 1)" for name in BATCH_POLICIES),
    "compacts batches (0 or 1)",
    "expects samples to leave (0 or 1)",
    "largest batch (log)",
    "capacity / largest batch (log)",
    "capacity / samples in unfilled batches of all lines (log)",
    *(f"time of a batch of {size} / ({size} x time alone) (log)" for size in SIZES),
    "time of a full batch / (largest batch x time alone) (log)",
    "load with batches of one (log)",
    "load with full batches (log)",
    "time-out / time alone (log1p)",
    "samples in a time-out (log1p)",
    "lines (log)",
    "concentration of the samples on lines",
    "loss by batches (logit)",
    "wait by batches / time alone (log1p)",
    "samples in a batch by batches (log)",
    "the same as samples see it (log)",
    "busy by batches",
    "time of a batch by batches / time alone (log)",
    "excess dispersion of what comes (log1p)",
    "memory of what comes x time alone (log)",
)
_FLOW = (
    "deadline / unloaded latency (log; 0 if none)",
    "has a deadline (0 or 1)",
    "excess dispersion of the arrivals (log1p; -1 counts as 0)",
    "memory of the arrivals / their rate (log)",
)


@dataclass(frozen=True, kw_only=True)
class _BatchedPrior(Prior):
    """A prior that keeps how it came about.

    Args:
        found: The visits, or None where there are no accelerators.
        said: What the kernel said of them.
        rate: Samples that come to each visit [1/s] [I].
        queued: How long they wait until their batch starts [s] [I].
        excess: Excess dispersion of what comes [Q].
        memory: Rate at which it fades [1/s] [Q].
        size: Jobs that come to each step at once [S].
    """

    found: Visits | None = None
    said: Said | None = None
    rate: Floats | None = None
    queued: Floats | None = None
    excess: Floats | None = None
    memory: Floats | None = None
    size: Floats | None = None


class Batching(FeatureGroup):
    """Batches: who forms them, what they cost, and the queue in front of them."""

    holds = True
    names = FeatureNames(step=_STEP, device=_DEVICE, flow=_FLOW)

    def adapted(self, arrays: FlowArrays) -> FlowArrays:
        batch = packed(arrays)
        arrays = replace(arrays, chain_scv=_like(arrays.chain_scv, gap_scv(batch)))
        on = _on_accelerators(batch)
        if not on.any():
            return arrays
        row = arrays.step_row.cpu().numpy()
        there = _like(arrays.step_mean, on[row]).bool()
        mean = torch.where(there, _like(arrays.step_mean, step_work(batch)[row]), arrays.step_mean)
        return replace(arrays, step_mean=mean)

    def refined(self, arrays: FlowArrays, prior: Prior) -> Prior:
        batch = packed(arrays)
        found = visits(batch)
        if found is None:
            return prior
        row = arrays.step_row.cpu().numpy()
        coming = np.empty(len(row))
        coming[row] = prior.step_rate.detach().cpu().numpy()
        rate = coming[found.step]
        given, said = said_of(batch, found, rate)
        alone = batch.step_mean[found.step]
        loss, wait = np.zeros((2, len(row)))
        loss[found.step] = said.loss[found.queue]
        queued = waits(batch, found, given, said, rate)
        wait[found.step] = np.maximum(queued + said.own - alone, 0.0)
        together = bunches(batch, found, said.with_line[found.line], rate)
        prior = bunched(arrays, prior, together)
        there = _like(prior.step_loss, _on_accelerators(batch)[row]).bool()
        step_loss = torch.where(there, _like(prior.step_loss, loss[row]), prior.step_loss)
        flow_rate = arrays.of_flows(arrays.flow_rate)
        is_npu = is_accelerator(batch)
        device_loss = np.zeros(len(is_npu))
        device_loss[found.device] = said.loss
        unbounded = torch.from_numpy(is_npu).to(prior.loss.device)
        kept = {item.name: getattr(prior, item.name) for item in fields(Prior)}
        kept |= {
            "step_loss": step_loss,
            "step_wait": torch.where(there, _like(prior.step_wait, wait[row]), prior.step_wait),
            "step_rate": flow_rate * arrays.running_product(1.0 - step_loss),
            "loss": torch.where(unbounded, _like(prior.loss, device_loss), prior.loss),
            "unbounded": unbounded,
        }
        return _BatchedPrior(
            **kept,
            found=found,
            said=said,
            rate=rate,
            queued=queued,
            excess=given.excess,
            memory=given.memory,
            size=together.size,
        )

    def columns(self, arrays: FlowArrays, prior: Prior) -> Columns:
        batch = packed(arrays)
        step = np.zeros((len(batch.step_mean), len(_STEP)))
        device = np.zeros((len(batch.device_speed), len(_DEVICE)))
        if isinstance(prior, _BatchedPrior) and prior.found is not None:
            own = len(_STEP) - len(_BUNCH)
            step[prior.found.step, :own] = _of_visits(batch, prior)
            step[:, own:] = _of_bunches(batch, prior)
            device[prior.found.device] = _of_accelerators(batch, prior)
        row = arrays.step_row.cpu().numpy()
        flow = _of_chains(batch)[arrays.flow_chain.cpu().numpy()]
        like = arrays.step_mean
        return _like(like, step[row]), _like(like, device), _like(like, flow)


def _like(tensor: Tensor, values: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(tensor)


def _on_accelerators(batch: DeploymentBatch) -> NDArray[np.bool_]:
    return np.asarray(is_accelerator(batch)[batch.step_device_row])


def _log(values: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(values, LEAST)))


def _of_visits(batch: DeploymentBatch, prior: _BatchedPrior) -> Floats:
    """Return the columns of steps on accelerators [I, len(_STEP)]."""
    found, said, rate, queued = prior.found, prior.said, prior.rate, prior.queued
    assert found is not None
    assert said is not None
    assert rate is not None
    assert queued is not None
    queue, line = found.queue, found.line
    largest, timeout = found.parameter[queue, 1], found.parameter[queue, 2]
    alone = np.maximum(found.times(1), LEAST**2)
    longest = np.zeros(len(found.line_queue))
    np.maximum.at(longest, line, alone)
    of_line: Floats = np.maximum(np.bincount(line, weights=rate), LEAST**2)
    of_queue = np.bincount(queue, weights=rate)
    deadline = batch.chain_deadline[batch.step_chain[found.step]]
    known = np.isfinite(deadline)
    log_deadline = np.where(known, np.log(np.where(known, deadline, 1.0)), 0.0)
    mean = np.bincount(queue, weights=log_deadline * rate) / np.maximum(
        np.bincount(queue, weights=known * rate), LEAST**2
    )
    return np.stack(
        [
            np.ones(len(rate)),
            _log(said.own / alone),
            _log(found.times(np.inf) / (largest * alone)),
            _log(alone / longest[line]),
            of_line[line] / np.maximum(of_queue[queue], LEAST**2),
            rate / of_line[line],
            np.log1p(np.minimum((largest - 1.0) / of_line[line] / alone, MOST_WAIT)),
            np.log1p(of_line[line] * timeout),
            np.log1p(said.wait[queue] / alone),
            np.where(known, log_deadline - np.log(alone), 0.0),
            np.where(known, log_deadline - mean[queue], 0.0),
            precedence(batch, found, said, rate),
            _log((largest - 1.0) / of_line[line] / (said.wait[queue] + alone)),
            _log(said.with_line[line]),
            np.log1p(queued / alone),
        ],
        axis=1,
    )


def _of_bunches(batch: DeploymentBatch, prior: _BatchedPrior) -> Floats:
    """Return the columns of all steps that say how jobs come [S, len(_BUNCH)]."""
    assert prior.size is not None
    room = np.minimum(batch.device_capacity[batch.step_device_row], 1.0 / LEAST)
    return np.stack([_log(prior.size), _log(prior.size / room)], axis=1)


def _of_accelerators(batch: DeploymentBatch, prior: _BatchedPrior) -> Floats:
    """Return the columns of accelerators [Q, len(_DEVICE)]."""
    found, said, rate = prior.found, prior.said, prior.rate
    assert found is not None
    assert said is not None
    assert rate is not None
    assert prior.excess is not None
    assert prior.memory is not None
    queues = len(found.device)
    policy, largest, timeout, compacts, expectant = found.parameter.T

    def mean(values: Floats) -> Floats:
        """Mean over the samples of each accelerator [Q]."""
        of_all = np.bincount(found.queue, weights=values * weight, minlength=queues)
        return np.asarray(of_all / total, dtype=np.float64)

    weight = np.maximum(rate, LEAST**2)
    total = np.asarray(np.bincount(found.queue, weights=weight, minlength=queues), dtype=float)
    alone = np.maximum(mean(found.times(1)), LEAST**2)
    full = mean(found.times(np.inf))
    of_line = np.bincount(found.line, weights=weight)
    concentration = np.bincount(found.line_queue, weights=of_line**2) / total**2
    room = np.minimum(batch.device_capacity[found.device], 1.0 / LEAST)
    lines = np.bincount(found.line_queue, minlength=queues)
    return np.stack(
        [
            np.ones(queues),
            *(policy == code for code in range(len(BATCH_POLICIES))),
            compacts,
            expectant,
            np.log(largest),
            np.log(room / largest),
            np.log(room / (1.0 + lines * (largest - 1.0))),
            *(_log(mean(found.times(n)) / (np.minimum(n, largest) * alone)) for n in SIZES),
            _log(full / (largest * alone)),
            _log(total * alone),
            _log(total * full / largest),
            np.log1p(timeout / alone),
            np.log1p(timeout * total),
            np.log(lines),
            concentration,
            _logit(said.loss),
            np.log1p(said.wait / alone),
            _log(said.batch),
            _log(said.company),
            said.busy,
            _log(said.length / alone),
            np.log1p(prior.excess),
            _log(prior.memory * alone),
        ],
        axis=1,
    )


def _logit(share: Floats) -> Floats:
    inside = np.clip(share, LEAST, 1.0 - LEAST)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _of_chains(batch: DeploymentBatch) -> Floats:
    """Return the columns of chains, which all their flows have [C, len(_FLOW)]."""
    excess, memory = dispersion(batch)
    path = np.repeat(np.arange(len(batch.path_probability)), batch.counts("step"))
    alone = np.bincount(path, weights=batch.step_mean, minlength=len(batch.path_probability))
    chain = np.repeat(np.arange(len(batch.chain_rate)), batch.counts("path"))
    unloaded = np.bincount(chain, weights=alone * batch.path_probability)
    known = np.isfinite(batch.chain_deadline)
    slack = np.where(known, batch.chain_deadline, 1.0) / np.maximum(unloaded, LEAST**2)
    return np.stack(
        [
            np.where(known, _log(slack), 0.0),
            known,
            np.log1p(np.maximum(excess, 0.0)),
            _log(memory / np.maximum(batch.chain_rate, LEAST**2)),
        ],
        axis=1,
    )
