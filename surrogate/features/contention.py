"""The feature group ``contention``: shared processors, cores, priorities, branches and blocking.

The plain prior sees first-come-first-served servers that lose what does not fit. Here it is given
the nearest such network, and what it says is put right by what theory knows of each effect:

- *Processor sharing*: the number of jobs depends on the service through its mean only, as if it was
  exponential, and each job stays in proportion to its own work.
- *Cores that slow each other down*: loads are those with all cores busy; services take what they
  take at the mean number of busy cores.
- *Priorities*: waits are divided among classes as without limits of room, and their mean, weighted
  by load, is kept.
- *Blocking*: a step takes longer by the mean wait for room ahead, and what a flow loses, it loses
  at its first step; both come from a fixed point (:mod:`surrogate.features.blocking_kernel`), and
  the decomposition is left with the jobs that are let in.

References:
    Kelly, Reversibility and Stochastic Networks, 1979, ch. 3 (processor sharing).
    Cobham, Priority assignment in waiting line problems, Operations Research 2, 1954.
    Kleinrock, Queueing Systems, vol. 2, 1976, ch. 3 (the conservation law of waits).
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from surrogate.features.arrays import FlowArrays
from surrogate.features.blocking import RoomAhead
from surrogate.features.contenders import Contenders
from surrogate.features.group import Columns, FeatureGroup, FeatureNames
from surrogate.features.prior import Prior
from surrogate.features.siblings import log_passed_together, siblings_here

__all__ = ["ContentionGroup"]

CROWDED = 0.1
"""Share of time that a device is full from which on its wait is that of the fixed point, which
knows nothing of how regularly jobs come; below, the decomposition's has its part."""

LEAST_FREE = 0.05
"""Share of time that is free of higher classes at least: Cobham's waits grow beyond all bounds."""

MOST_LOST = 1.0 - 1e-6
"""Share of a step's jobs that are lost at most, where its logarithm is told."""

FLOOR = 1e-6
"""Smallest ratio whose logarithm is told apart, as in the plain features."""


class ContentionGroup(FeatureGroup):
    """What jobs that get in each other's way do to steps, devices and flows."""

    joins = True
    names: ClassVar[FeatureNames] = FeatureNames(
        step=(
            "shared processor",
            "longer service with the cores that are busy on average (log)",
            "longer stay by sharing, by the prior (log)",
            "load of higher classes",
            "load of the own class, where there are priorities",
            "wait / mean wait of all classes, by the prior (log)",
            "blocks the step before",
            "wait for room ahead / service, by the prior (log1p)",
            "chance that there is no room ahead, by the prior",
            "largest load ahead, by the prior (log; 0 where nothing blocks)",
            "branch of a parallel chain",
            "stay / longest branch's stay, by the prior",
            "branches of the same job that come to this device before it",
            "branches of the same job that come to this device after it",
        ),
        device=(
            "shared processor",
            "serves by priority",
            "blocking",
            "longer service with all cores busy (log)",
            "longer service with the cores that are busy on average (log)",
            "mean wait for room ahead / service, by the prior (log1p)",
            "mean wait for this device to have room / service, by the prior (log1p)",
        ),
        flow=(
            "blocking",
            "branches / 10 (0 if not parallel)",
            "unloaded latency / longest branch's",
            "latency / longest branch's, by the prior",
            "latency / sum of the branches', by the prior",
            "completed jobs / those of independent branches, by the prior (log)",
            "loss of this branch / sum of the branches', by the prior "
            "(log of the shares that pass)",
        ),
    )

    def adapted(self, arrays: FlowArrays) -> FlowArrays:
        contenders = _contenders(arrays)
        shared = arrays.at_steps(contenders.shared)
        slowest = arrays.step_mean * arrays.at_steps(contenders.slowdown[:, -1])
        seen = replace(
            arrays,
            # One law for all that share, so that their mix is exponential, too.
            step_mean=torch.where(shared, _mean_of_device(arrays, slowest), slowest),
            step_scv=torch.where(shared, 1.0, arrays.step_scv),
        )
        ahead = RoomAhead.of(arrays, contenders)
        arrays.notes["ahead"] = ahead
        flow_loss = arrays.sum_to_flows(ahead.loss) / arrays.flow_length
        return replace(
            seen,
            step_mean=seen.step_mean + ahead.held,
            flow_rate=arrays.flow_rate * (1.0 - flow_loss),
        )

    def refined(self, arrays: FlowArrays, prior: Prior) -> Prior:
        if "ahead" not in arrays.notes:  # another group came first, with arrays of its own
            self.adapted(arrays)
        contenders = _contenders(arrays)
        ahead: RoomAhead = arrays.notes["ahead"]
        servers = arrays.device_servers
        used = (prior.load * (1.0 - prior.loss)).clamp(FLOOR, 1.0)
        slower = arrays.at_steps(contenders.slowed(1.0 + used * (servers - 1.0)))
        service = arrays.step_mean * slower
        crowd = arrays.at_steps(1.0 + prior.waiting / (used * servers))
        apart = _by_class(arrays, prior, contenders)
        stay = torch.where(
            arrays.at_steps(contenders.shared), service * crowd, prior.step_wait * apart + service
        )
        blocks = arrays.at_steps(contenders.blocking)
        inner = blocks & (arrays.step_position > 0)
        crowded = (arrays.at_steps(ahead.full) / CROWDED).clamp_max(1.0)
        stay = torch.where(blocks, torch.lerp(stay, ahead.stay, crowded), stay)
        rate, lost_before = arrays.of_flows(arrays.flow_rate), torch.where(inner, ahead.loss, 0.0)
        arrays.notes["apart"], arrays.notes["slower"] = apart, slower
        special = contenders.shared | contenders.prioritized | contenders.tabled
        return replace(
            prior,
            step_rate=torch.where(blocks, rate * (1.0 - lost_before), prior.step_rate),
            step_loss=torch.where(blocks, ahead.loss - lost_before, prior.step_loss),
            step_wait=stay + ahead.held - arrays.step_mean,
            unbounded=_either(prior.unbounded, special | contenders.blocking),
            lossless=_either(prior.lossless, inner),
        )

    def columns(self, arrays: FlowArrays, prior: Prior) -> Columns:
        contenders = _contenders(arrays)
        return (
            _step(arrays, prior, contenders),
            _device(arrays, prior, contenders),
            _flow(arrays, prior, contenders),
        )


def _contenders(arrays: FlowArrays) -> Contenders:
    if "contenders" not in arrays.notes:
        arrays.notes["contenders"] = Contenders.of(arrays)
    found: Contenders = arrays.notes["contenders"]
    return found


def _either(one: Tensor | None, other: Tensor) -> Tensor:
    return other if one is None else one | other


def _log(values: Tensor) -> Tensor:
    return values.clamp_min(FLOOR).log()


def _mean_of_device(arrays: FlowArrays, service: Tensor) -> Tensor:
    """Return the mean service of all jobs offered to the device of each step [s] [S]."""
    rate = arrays.of_flows(arrays.flow_rate)
    total = arrays.sum_to_devices(rate).clamp_min(FLOOR * FLOOR)
    return arrays.at_steps(arrays.sum_to_devices(rate * service) / total)


def _to_previous(arrays: FlowArrays, values: Tensor) -> Tensor:
    """Return of each step the value of the one after it; 0 at the last [S]."""
    inner = (arrays.step_position > 0).nonzero()[:, 0]
    none = torch.zeros_like(values)
    return none.index_copy(0, arrays.step_previous[inner], values[inner])


def _by_class(arrays: FlowArrays, prior: Prior, contenders: Contenders) -> Tensor:
    """Return the wait of each step over the mean of all at its device; 1 without priorities [S]."""
    own = prior.step_rate * arrays.step_mean / arrays.at_steps(arrays.device_servers)
    above, same = torch.zeros_like(own), torch.zeros_like(own)
    served = arrays.at_steps(contenders.prioritized)
    passed = torch.zeros_like(arrays.device_capacity)
    if bool(contenders.prioritized.any()):
        for rank in torch.unique(contenders.priority).flip(0):
            here = contenders.priority == rank
            load = arrays.sum_to_devices(torch.where(here, own, 0.0))
            above = torch.where(here, arrays.at_steps(passed), above)
            same = torch.where(here, arrays.at_steps(load), same)
            passed = passed + load
    arrays.notes["above"] = torch.where(served, above, 0.0)
    arrays.notes["same"] = torch.where(served, same, 0.0)
    free = (1.0 - above).clamp_min(LEAST_FREE)
    share = 1.0 / (free * (1.0 - above - same).clamp_min(LEAST_FREE))
    of_device = arrays.sum_to_devices(own * share) / arrays.sum_to_devices(own).clamp_min(FLOOR)
    return torch.where(served, share / arrays.at_steps(of_device.clamp_min(FLOOR)), 1.0)


def _step(arrays: FlowArrays, prior: Prior, contenders: Contenders) -> Tensor:
    notes, none = arrays.notes, torch.zeros_like(arrays.step_mean)
    shared = arrays.at_steps(contenders.shared)
    blocks = arrays.at_steps(contenders.blocking)
    service = arrays.step_mean.clamp_min(FLOOR * FLOOR)
    stay = (arrays.step_mean + prior.step_wait) / service
    crowd = torch.where(shared, _log(stay / notes["slower"]), none)
    full = arrays.at_steps(notes["ahead"].full)
    heaviest = none
    for _ in range(len(arrays.flow_sizes) - 1):  # as far ahead as the longest flow goes
        further = torch.maximum(arrays.at_steps(prior.load), heaviest)
        heaviest = _to_previous(arrays, further)
    flow_stay = arrays.sum_to_flows(arrays.step_mean + prior.step_wait)
    before, after = none, none
    if arrays.branches is not None:
        before, after = siblings_here(arrays, arrays.branches)
    columns = [
        shared.to(none.dtype),
        notes["slower"].log(),
        crowd,
        notes["above"],
        notes["same"],
        notes["apart"].log(),
        (blocks & (arrays.step_position > 0)).to(none.dtype),
        torch.log1p(notes["ahead"].held / service),
        _to_previous(arrays, full),
        torch.where(blocks, _log(heaviest).clamp_min(-3.0), none),
        contenders.branch.to(none.dtype),
        torch.where(contenders.branch, arrays.of_flows(_of_longest(arrays, flow_stay)), none),
        before,
        after,
    ]
    return torch.stack(columns, dim=-1).clamp(-14.0, 14.0)


def _device(arrays: FlowArrays, prior: Prior, contenders: Contenders) -> Tensor:
    dtype, notes = arrays.step_mean.dtype, arrays.notes
    rate = arrays.sum_to_devices(prior.step_rate).clamp_min(FLOOR * FLOOR)
    mean = (arrays.sum_to_devices(prior.step_rate * arrays.step_mean) / rate).clamp_min(
        FLOOR * FLOOR
    )
    held = arrays.sum_to_devices(prior.step_rate * notes["ahead"].held) / rate
    door = torch.where(arrays.step_position > 0, arrays.at_previous(notes["ahead"].held), 0.0)
    waited = arrays.sum_to_devices(prior.step_rate * door) / rate
    used = (prior.load * (1.0 - prior.loss)).clamp(0.0, 1.0)
    columns = [
        contenders.shared.to(dtype),
        contenders.prioritized.to(dtype),
        contenders.blocking.to(dtype),
        contenders.slowdown[:, -1].log(),
        contenders.slowed(1.0 + used * (arrays.device_servers - 1.0)).log(),
        torch.log1p(held / mean),
        torch.log1p(waited / mean),
    ]
    return torch.stack(columns, dim=-1).clamp(-14.0, 14.0)


def _of_longest(arrays: FlowArrays, values: Tensor) -> Tensor:
    """Return the value of each flow over the largest of its path's branches, 1 for itself [P]."""
    if arrays.branches is None:
        return torch.ones_like(values)
    largest = arrays.branches.extreme(values, "amax")[arrays.branches.flow_path]
    return values / largest.clamp_min(FLOOR * FLOOR)


def _flow(arrays: FlowArrays, prior: Prior, contenders: Contenders) -> Tensor:
    none = torch.zeros_like(contenders.branches)
    apart = contenders.branches > 0
    unloaded = arrays.sum_to_flows(arrays.step_mean)
    stay = unloaded + arrays.sum_to_flows(prior.step_wait)
    share, together, part = stay, none, none
    if arrays.branches is not None:
        path = arrays.branches.flow_path
        passed = arrays.sum_to_flows(torch.log1p(-prior.step_loss.clamp_max(MOST_LOST)))
        total = arrays.branches.total(torch.stack([stay, passed], dim=-1))[path]
        share = stay / total[:, 0].clamp_min(FLOOR * FLOOR)
        part = passed / total[:, 1].clamp_max(-FLOOR)
        together = log_passed_together(arrays, arrays.branches, passed)[path] - total[:, 1]
    blocking = torch.zeros(arrays.deployments, dtype=torch.bool, device=none.device)
    blocking = blocking.index_fill(0, arrays.device_deployment[contenders.blocking], True)
    owner = arrays.chain_deployment[arrays.flow_chain]
    columns = [
        blocking[owner].to(none.dtype),
        contenders.branches / 10.0,
        torch.where(apart, _of_longest(arrays, unloaded), none),
        torch.where(apart, _of_longest(arrays, stay), none),
        torch.where(apart, share, none),
        torch.where(apart, together, none),
        torch.where(apart, part, none),
    ]
    return torch.stack(columns, dim=-1).clamp(-14.0, 14.0)
