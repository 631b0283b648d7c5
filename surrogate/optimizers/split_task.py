"""A network between a device and a server: its layers, their times, and what a split of it costs.

The input lies on the device. Whatever layers run there, the rest runs on the server, and what
crosses from one to the other is sent once. Nothing comes back from the server before the answer,
and layers take their times one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from datagen.deployment import Problem
from datagen.documents.forms import NUMBER, TEXT, listed, record
from datagen.documents.plain import read_yaml
from datagen.errors import require

__all__ = ["Layer", "Split", "SplitGoal", "SplitTask", "read_split_task", "split_task"]

SplitGoal = Literal["latency", "energy"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A layer, or a run of layers that stays together.

    Args:
        name: Unique name.
        device: Time on the device [s], >= 0; infinity, the default, if it cannot run there.
        server: Time on the idle server [s], >= 0; likewise.
        output: Bytes of its result, >= 0.
        inputs: Layers whose results it reads; empty for those that read the network's input; None
            for the layer before it.
    """

    name: str
    device: float = math.inf
    server: float = math.inf
    output: float = 0.0
    inputs: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        require(self.name != "", "name", "be a non-empty text", self.name)
        for field in ("device", "server", "output"):
            value = getattr(self, field)
            require(value >= 0, field, "be >= 0", value)
        require(math.isfinite(self.output), "output", "be finite", self.output)
        runs = math.isfinite(min(self.device, self.server))
        require(runs, f"{self.name}.device", "be finite where server is not", self.device)
        if self.inputs is not None:
            object.__setattr__(self, "inputs", tuple(self.inputs))


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitTask:
    """A network between two tiers.

    Args:
        layers: At least one, each after those that it reads.
        bandwidth: Bytes per second from device to server, > 0.
        delay: Time before the first byte of a transfer arrives [s], >= 0.
        input: Bytes of the network's input, which lies on the device, >= 0.
        slowdown: Factor on the server's times by its load, >= 1.
        compute_power: Watts of the device while it computes, >= 0.
        send_power: Watts of the device while it sends, >= 0.
    """

    layers: tuple[Layer, ...]
    bandwidth: float
    delay: float = 0.0
    input: float = 0.0
    slowdown: float = 1.0
    compute_power: float = 0.0
    send_power: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        require(len(self.layers) > 0, "layers", "hold at least one", self.layers)
        require(self.bandwidth > 0, "bandwidth", "be > 0", self.bandwidth)
        for field in ("delay", "input", "compute_power", "send_power"):
            value = getattr(self, field)
            require(math.isfinite(value) and value >= 0, field, "be finite and >= 0", value)
        usable = math.isfinite(self.slowdown) and self.slowdown >= 1
        require(usable, "slowdown", "be finite and >= 1", self.slowdown)
        known: set[str] = set()
        for layer in self.layers:
            require(layer.name not in known, "layers", "have distinct names", layer.name)
            rule = "name layers before it"
            require(
                known.issuperset(layer.inputs or ()), f"{layer.name}.inputs", rule, layer.inputs
            )
            known.add(layer.name)

    def reads(self) -> dict[str, tuple[str, ...]]:
        """Return the layers that each layer reads; those that read the input read none."""
        names = [layer.name for layer in self.layers]
        before = [(), *((name,) for name in names)]
        return {
            layer.name: previous if layer.inputs is None else layer.inputs
            for layer, previous in zip(self.layers, before, strict=False)
        }

    @property
    def is_line(self) -> bool:
        """Whether each layer reads the one before it and nothing else."""
        given = list(self.reads().values())
        names = [(layer.name,) for layer in self.layers[:-1]]
        return given == [(), *names]

    def sending(self, size: float) -> float:
        """Return the time of a transfer [s].

        Args:
            size: Bytes.

        Returns:
            Delay and time on the line.
        """
        return self.delay + size / self.bandwidth

    def split(self, device: Iterable[str]) -> Split:
        """Return what a split costs.

        Args:
            device: Layers on the device; with each, all that it reads.

        Returns:
            The split; infinite where a layer cannot run.

        Raises:
            InvalidInputError: If a layer on the device would read from the server.
        """
        local, reads = frozenset(device), self.reads()
        computing = sum(layer.device for layer in self.layers if layer.name in local)
        serving = sum(layer.server for layer in self.layers if layer.name not in local)
        sent: set[str | None] = set()  # None stands for the input
        for name, sources in reads.items():
            if name in local:
                backwards = [source for source in sources if source not in local]
                require(not backwards, f"{name}.inputs", "lie on the device with it", backwards)
            else:
                sent |= local.intersection(sources) if sources else {None}
        sizes = {layer.name: layer.output for layer in self.layers}
        sending = sum(self.sending(self.input if s is None else sizes[s]) for s in sent)
        return Split(
            device=tuple(layer.name for layer in self.layers if layer.name in local),
            server=tuple(layer.name for layer in self.layers if layer.name not in local),
            latency=computing + sending + self.slowdown * serving,
            energy=self.compute_power * computing + self.send_power * sending
            if math.isfinite(computing)
            else math.inf,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """A network cut in two.

    Args:
        device: Layers on the device, in order.
        server: Layers on the server, in order.
        latency: Time of a request that meets no other [s].
        energy: Energy of the device for it [J]; what the server takes is not counted.
    """

    device: tuple[str, ...]
    server: tuple[str, ...]
    latency: float
    energy: float

    @property
    def feasible(self) -> bool:
        """Whether every layer runs where it may."""
        return math.isfinite(self.latency)

    def value(self, goal: SplitGoal) -> float:
        """Return the latency [s] or the energy [J].

        Args:
            goal: Which.

        Returns:
            Infinity for either where a layer cannot run.
        """
        if not self.feasible:
            return math.inf
        return self.latency if goal == "latency" else self.energy

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, None where infinite."""
        finite = self.feasible
        return {
            "device": list(self.device),
            "server": list(self.server),
            "latency": self.latency if finite else None,
            "energy": self.energy if finite else None,
            "feasible": finite,
        }


def split_task(problem: Problem, chain: str, device: str, server: str) -> SplitTask:
    """Return the fragments of a chain as a task between two devices of its problem.

    Args:
        problem: The problem; a missing link between the two costs nothing.
        chain: Name of the chain; its exits are not looked at.
        device: Name of the device that requests come to.
        server: Name of the other.

    Returns:
        The task. The input of the first fragment costs nothing to send: a chain that begins with a
        fragment for its source, allowed on the device only, says what it does.

    Raises:
        InvalidInputError: If there is no such chain or device.
    """
    chains = {item.name: item for item in problem.chains}
    devices = {item.name: item for item in problem.devices}
    require(chain in chains, "chain", f"be one of {', '.join(chains)}", chain)
    for field, name in (("device", device), ("server", server)):
        require(name in devices, field, f"be one of {', '.join(devices)}", name)
    found = [link for link in problem.links if (link.source, link.target) == (device, server)]
    layers = []
    for fragment in chains[chain].fragments:
        times = {}
        for tier in (device, server):
            law, speed = fragment.time_on(devices[tier]) if fragment.may_run_on(tier) else (None, 1)
            times[tier] = math.inf if law is None else law.mean / speed
        layers.append(
            Layer(
                name=fragment.name,
                device=times[device],
                server=times[server],
                output=fragment.output,
            )
        )
    power = devices[device].power
    return SplitTask(
        layers=tuple(layers),
        bandwidth=found[0].bandwidth if found else math.inf,
        delay=found[0].latency if found else 0.0,
        compute_power=0.0 if power is None else power[-1],
    )


_LAYER = record(
    Layer,
    {"name": TEXT, "device": NUMBER, "server": NUMBER, "output": NUMBER, "inputs": listed(TEXT)},
)

_TASK = record(
    SplitTask,
    {
        "layers": listed(_LAYER),
        "bandwidth": NUMBER,
        "delay": NUMBER,
        "input": NUMBER,
        "slowdown": NUMBER,
        "compute_power": NUMBER,
        "send_power": NUMBER,
    },
)


def read_split_task(path: str | Path) -> SplitTask:
    """Read a task from a YAML file: a mapping of its fields, its layers a list of mappings.

    Args:
        path: The file.

    Returns:
        The task.

    Raises:
        InvalidInputError: If the file is no such document; it names the field.
    """
    task: SplitTask = _TASK.read(read_yaml(path), "task")
    return task
