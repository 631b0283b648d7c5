"""Fixed points of networks that block, as tensors in the order of arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datagen.analytic.stream_kernel import Steps
from surrogate.features.arrays import FlowArrays
from surrogate.features.blocking_kernel import (
    MOST_ROOM,
    Blocked,
    Blocking,
    Doors,
    Scratch,
    blocked_networks,
)
from surrogate.features.compiled_prior import kernel_steps
from surrogate.features.contenders import Contenders

__all__ = ["RoomAhead"]


@dataclass(frozen=True, kw_only=True)
class RoomAhead:
    """Who waits for room, and who is lost, where jobs block; no value carries a gradient.

    Args:
        held: Mean wait for room ahead after each step [s] [S]; 0 where nothing blocks, as below.
        loss: Share of the flow's jobs that its first device has no room for [S], at all its steps.
        stay: Mean time from the admission to each step to the end of its service [s] [S].
        full: Share of the time that each device is full [D].
    """

    held: Tensor
    loss: Tensor
    stay: Tensor
    full: Tensor

    @classmethod
    def of(cls, arrays: FlowArrays, contenders: Contenders) -> RoomAhead:
        """Solve deployments.

        Args:
            arrays: The deployments, with the times of services on one busy server.
            contenders: Who contends for what in them.

        Returns:
            What is found of those that block.
        """
        like = arrays.step_mean
        blocks = contenders.blocking.cpu().numpy()
        if not blocks.any():
            none = torch.zeros_like(like)
            return cls(
                held=none, loss=none, stay=none, full=torch.zeros_like(arrays.device_capacity)
            )
        host = arrays.to("cpu")
        network = _network(kernel_steps(host), contenders)
        own = np.zeros(arrays.deployments, dtype=bool)
        own[host.device_deployment.numpy()[blocks]] = True
        devices, steps = len(network.servers), len(network.device)
        doors = Doors(*np.zeros((5, devices)))
        found = Blocked(*np.zeros((3, steps)))
        scratch = Scratch(
            passing=np.zeros(len(network.path_step) - 1),
            mean=np.zeros((4, devices)),
            rates=np.zeros(MOST_ROOM + 1),
        )
        blocked_networks(network, own, doors, scratch, found)
        of_steps = torch.from_numpy(np.stack(found)[:, host.step_row.numpy()])
        held, loss, stay = of_steps.to(like.device, like.dtype).unbind()
        full = torch.from_numpy(doors.full).to(like.device, like.dtype)
        return cls(held=held, loss=loss, stay=stay, full=full)


def _network(steps: Steps, contenders: Contenders) -> Blocking:
    """Return what the kernel of fixed points reads."""
    device, stops = steps.device, np.diff(steps.path_step)
    last = np.zeros(len(device), dtype=bool)
    last[steps.path_step[1:] - 1] = True
    following = np.append(device[1:], -1)
    ahead = np.where(last | (following == device), -1, following)
    servers, shared = steps.servers.astype(np.int64), contenders.shared.cpu().numpy()
    room = _room(steps)
    hop = np.unique(np.stack([device, ahead])[:, ahead >= 0], axis=1)
    waiting = np.where(shared, room, servers)[hop[0]]
    places = np.bincount(hop[1], waiting, minlength=len(servers)).astype(np.int64)
    visits = np.bincount(device, minlength=len(servers))
    return Blocking(
        deployment_path=steps.deployment_path,
        deployment_device=steps.deployment_device,
        path_step=steps.path_step,
        path=np.repeat(np.arange(len(stops)), stops),
        device=device,
        ahead=ahead,
        first_visit=np.concatenate([[0], np.cumsum(visits)]),
        visit=np.argsort(device, kind="stable"),
        rate=steps.source_rate,
        mean=steps.mean,
        scv=steps.scv,
        servers=servers,
        room=room,
        places=places,
        shared=shared,
        slowdown=contenders.slowdown.cpu().numpy().astype(np.float64),
    )


def _room(steps: Steps) -> NDArray[np.int64]:
    """Return how many jobs of the mean demand offered to it each device holds [D]."""
    devices = len(steps.servers)
    offered = np.bincount(steps.device, steps.source_rate, minlength=devices)
    demand = np.bincount(steps.device, steps.source_rate * steps.demand, minlength=devices)
    # A hair more than the quotient, which may come out a hair below a whole number.
    jobs = np.floor(steps.capacity * offered / np.where(demand > 0, demand, 1.0) + 1e-9)
    return np.clip(np.maximum(jobs, steps.servers), 1, MOST_ROOM).astype(np.int64)
