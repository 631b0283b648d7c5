"""The domain model: what is given (a problem) and what is decided (a deployment of it).

Requests of a *chain* pass its DNN *fragments* one after the other; each fragment runs on a *device*
with a finite buffer. A :class:`Problem` holds devices, chains and links; a :class:`Deployment` adds
every decision: placement, routing, exits, batching. All objects are frozen and validated when made,
so that whatever exists is meaningful.

Units are SI: s, 1/s, bytes, watts. Capacity counts what is in service as well as what waits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal, get_args

import numpy as np

from datagen.arrivals import Arrivals
from datagen.distributions import Deterministic, Law
from datagen.errors import require
from datagen.exits import Contexts, ExitMix, ExitTrace, Thresholds
from datagen.frozen import FrozenMap
from datagen.npu.accelerator import Npu
from datagen.npu.batching import BatchConfig
from datagen.steps import Step, path_steps

__all__ = [
    "BatchConfig",
    "Chain",
    "Deployment",
    "Device",
    "Discipline",
    "Exit",
    "Fragment",
    "Link",
    "Npu",
    "Overflow",
    "Problem",
    "Step",
    "Variant",
]

Discipline = Literal["fcfs", "priority", "ps"]
Overflow = Literal["drop", "block"]

DISCIPLINES: tuple[str, ...] = get_args(Discipline)
"""Queueing disciplines by stored code: append only."""

LARGEST_WHOLE = 2**31 - 1
"""Largest number of servers and priority: they are packed as 32-bit integers."""

POWER_POINTS = (2, 11)
"""Lengths of a power curve: idle and full, or 0 %, 10 %, ..., 100 % utilization (as SPECpower)."""


def _is_number(value: object) -> bool:
    # Nearly all are these two, and asking whether something is some Real takes ten times as long.
    usual = type(value) is float or type(value) is int
    return usual or (isinstance(value, Real) and not isinstance(value, bool))


def _whole(field: str, value: float, least: int) -> int:
    """Accept an integer, or a float that is one (documents write ``512e6``)."""
    whole = _is_number(value) and math.isfinite(value) and value == int(value)
    require(whole and value >= least, field, f"be a whole number >= {least}", value)
    return int(value)


def _finite(field: str, value: float, *, positive: bool = False) -> float:
    proper = _is_number(value) and math.isfinite(value)
    if positive:
        require(proper and value > 0, field, "be finite and > 0", value)
    else:
        require(proper and value >= 0, field, "be finite and >= 0", value)
    return float(value)


def _named(value: str) -> None:
    require(isinstance(value, str) and value != "", "name", "be a non-empty text", value)


def _unique(field: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        require(name not in seen, field, "have distinct names", name)
        seen.add(name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A computer that serves fragments from one waiting line.

    Args:
        name: Unique name.
        speed: Work done per second, > 0; service time = work / speed.
        servers: Identical servers that share the waiting line, >= 1.
        capacity: Buffer in units, the jobs in service included, >= 1; None for unlimited.
        memory: Bytes for the weights of the fragments placed here; None for unlimited.
        discipline: ``fcfs``, ``priority`` (non-preemptive head of line) or ``ps`` (processor
            sharing: nobody waits, and n jobs are served at min(1, servers / n) of the speed each).
        npu: Batching accelerator, or None. Its tables say all: it has one server at speed 1.
        power: Watts at idle and at full utilization, or at 0, 10, ..., 100 %; None if unknown.
        speedup: Relative speed of each server with 1, 2, ... of them busy (length ``servers``): how
            cores that share caches and memory slow each other down; None for all 1. Services in
            progress change pace whenever that number changes.
    """

    name: str
    speed: float = 1.0
    servers: int = 1
    capacity: int | None = None
    memory: float | None = None
    discipline: Discipline = "fcfs"
    npu: Npu | None = None
    power: tuple[float, ...] | None = None
    speedup: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        _named(self.name)
        object.__setattr__(self, "speed", _finite("speed", self.speed, positive=True))
        object.__setattr__(self, "servers", _whole("servers", self.servers, 1))
        require(self.servers <= LARGEST_WHOLE, "servers", f"be <= {LARGEST_WHOLE}", self.servers)
        if self.capacity is not None:
            object.__setattr__(self, "capacity", _whole("capacity", self.capacity, 1))
        if self.memory is not None:
            object.__setattr__(self, "memory", _finite("memory", self.memory))
        known = self.discipline in DISCIPLINES
        require(known, "discipline", f"be one of {', '.join(DISCIPLINES)}", self.discipline)
        if self.power is not None:
            power = tuple(_finite("power", watts) for watts in self.power)
            require(len(power) in POWER_POINTS, "power", "hold 2 or 11 values", power)
            object.__setattr__(self, "power", power)
        if self.speedup is not None:
            speedup = tuple(_finite("speedup", x, positive=True) for x in self.speedup)
            matching = len(speedup) == self.servers
            require(matching, "speedup", f"hold {self.servers} values", speedup)
            object.__setattr__(self, "speedup", speedup)
        if self.npu is not None:
            neutral = {"speed": 1.0, "servers": 1, "discipline": "fcfs", "speedup": None}
            for field, value in neutral.items():
                own = getattr(self, field)
                require(own == value, field, f"be {value} with an accelerator", own)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exit:
    """An intermediate classifier after a fragment.

    Args:
        head: Law of the classifier's own work [s at speed 1].
    """

    head: Law = Deterministic(mean=0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fragment:
    """A piece of a DNN that runs on one device.

    Args:
        name: Name, unique within its chain.
        service: Law of the work [s at speed 1], or a table device -> law of the measured time [s]
            on that device (speed then does not apply).
        demand: Buffer units one job occupies while this fragment is its current step, >= 1.
        weights: Bytes of memory the fragment needs on its device.
        output: Bytes sent when the next fragment is on another device.
        exit: Intermediate classifier after the fragment, or None.
        allowed: Devices the fragment may be placed on; None for all.
    """

    name: str
    service: Law | Mapping[str, Law]
    demand: int = 1
    weights: float = 0.0
    output: float = 0.0
    exit: Exit | None = None
    allowed: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _named(self.name)
        if isinstance(self.service, Mapping):
            require(len(self.service) > 0, "service", "name at least one device", self.service)
            object.__setattr__(self, "service", FrozenMap(self.service))
        else:
            require(isinstance(self.service, Law), "service", "be a law", self.service)
        object.__setattr__(self, "demand", _whole("demand", self.demand, 1))
        object.__setattr__(self, "weights", _finite("weights", self.weights))
        object.__setattr__(self, "output", _finite("output", self.output))
        if self.allowed is not None:
            require(len(self.allowed) > 0, "allowed", "name at least one device", self.allowed)
            object.__setattr__(self, "allowed", tuple(self.allowed))

    def may_run_on(self, device: str) -> bool:
        """Return whether the fragment may be placed on a device.

        Args:
            device: Name of the device.

        Returns:
            True if it is allowed there and, where times were measured, was measured there.
        """
        if self.allowed is not None and device not in self.allowed:
            return False
        return not isinstance(self.service, Mapping) or device in self.service

    def time_on(self, device: Device) -> tuple[Law, float]:
        """Return the law of the fragment's time on a device, and the speed that divides it.

        Args:
            device: The device.

        Returns:
            The law and the divisor: the device's speed for works, 1 for measured times.
        """
        if isinstance(self.service, Mapping):
            return self.service[device.name], 1.0
        return self.service, device.speed


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """Another way to compute a chain, at another accuracy (model selection, semantic split).

    Args:
        name: Name, unique within its chain.
        fragments: The fragments of the variant.
        accuracy: Share of correct answers, in [0, 1].
    """

    name: str
    fragments: tuple[Fragment, ...]
    accuracy: float

    def __post_init__(self) -> None:
        _named(self.name)
        object.__setattr__(self, "fragments", tuple(self.fragments))
        require(len(self.fragments) > 0, "fragments", "hold at least one", self.fragments)
        require(0 <= self.accuracy <= 1, "accuracy", "lie in [0, 1]", self.accuracy)


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """One request stream and the fragments that answer it, in order.

    Args:
        name: Unique name.
        arrivals: Arrival process.
        fragments: Fragments in order, at least one.
        model: The network it runs; chains of one model may share an NPU batch. Default: its name.
        priority: Class on ``priority`` devices; higher goes first.
        deadline: Latency [s] to meet, > 0, or None.
        parallel: Whether all fragments start at once, each admitted on its own. Consecutive ones on
            one device are one branch, as elsewhere one step; nothing is sent from one to the next.
            The job is lost when any branch is, and completed when the last one ends. Nobody leaves
            early, and accelerators, whose batches run fragments in turn, take no branches.
        trace: Name of the problem's exit trace that its jobs draw rows from, or None.
        contexts: When its jobs meet which context of that trace, where thresholds read it; None
            where a job may draw any row.
        variants: Alternative fragment lists.
    """

    name: str
    arrivals: Arrivals
    fragments: tuple[Fragment, ...]
    model: str | None = None
    priority: int = 0
    deadline: float | None = None
    parallel: bool = False
    trace: str | None = None
    contexts: Contexts | None = None
    variants: tuple[Variant, ...] = ()

    def __post_init__(self) -> None:
        _named(self.name)
        require(
            isinstance(self.arrivals, Arrivals), "arrivals", "be an arrival process", self.arrivals
        )
        object.__setattr__(self, "fragments", tuple(self.fragments))
        object.__setattr__(self, "variants", tuple(self.variants))
        require(len(self.fragments) > 0, "fragments", "hold at least one", self.fragments)
        _unique("fragments", (fragment.name for fragment in self.fragments))
        _unique("variants", (variant.name for variant in self.variants))
        whole = _is_number(self.priority) and isinstance(self.priority, Integral)
        require(whole, "priority", "be a whole number", self.priority)
        packed = abs(self.priority) <= LARGEST_WHOLE
        require(packed, "priority", f"lie within +-{LARGEST_WHOLE}", self.priority)
        if self.deadline is not None:
            object.__setattr__(self, "deadline", _finite("deadline", self.deadline, positive=True))
        if self.model is None:
            object.__setattr__(self, "model", self.name)

    @property
    def classified(self) -> tuple[bool, ...]:
        """Whether an intermediate classifier stands after each fragment."""
        return tuple(fragment.exit is not None for fragment in self.fragments)

    def may_run_on(self, fragment: int, device: Device) -> bool:
        """Return whether a fragment may be placed on a device.

        Args:
            fragment: 0-based fragment.
            device: The device.

        Returns:
            True if it is allowed there and its times are known: by a law, or by a table of the
            chain's model where the device is an accelerator.
        """
        item = self.fragments[fragment]
        if device.npu is None:
            return item.may_run_on(device.name)
        allowed = item.allowed is None or device.name in item.allowed
        return allowed and device.npu.covers(str(self.model), len(self.fragments))

    def time_on(self, fragment: int, device: Device) -> tuple[Law, float]:
        """Return the law of a fragment's time alone on a device, and the speed that divides it.

        Args:
            fragment: 0-based fragment.
            device: A device that it may run on.

        Returns:
            The law and the divisor; on an accelerator, the constant time of a batch of one.
        """
        if device.npu is None:
            return self.fragments[fragment].time_on(device)
        table = device.npu.times(str(self.model), self.classified, 1)
        return Deterministic(mean=float(table.seconds[fragment, 0])), 1.0


def _check_contexts(chain: Chain, trace: ExitTrace | None) -> None:
    """Check that the contexts a chain meets are those of its trace."""
    if chain.contexts is not None:
        field = f"{chain.name}.contexts"
        recorded = trace is not None and trace.contexts > 0
        require(recorded, field, "go with a trace that has contexts", chain.trace)
        assert trace is not None
        chain.contexts.check(field, trace.contexts, chain.arrivals.rate)


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A connection over which a fragment's output travels to the next device.

    Args:
        source: Sending device.
        target: Receiving device.
        bandwidth: Bytes per second, > 0.
        latency: Delay before the first byte [s], >= 0.
        queueing: Whether transfers queue for the link (a single FIFO server) or are pure delays.
        admission: ``on_arrival``, or ``before_transfer`` (room at the target is asked for first).
        release: When the sender's units are freed: ``sent``, or ``start`` of the transfer.

    What takes no time to send uses no link.
    """

    source: str
    target: str
    bandwidth: float
    latency: float = 0.0
    queueing: bool = False
    admission: Literal["on_arrival", "before_transfer"] = "on_arrival"
    release: Literal["sent", "start"] = "sent"

    def __post_init__(self) -> None:
        object.__setattr__(self, "bandwidth", _finite("bandwidth", self.bandwidth, positive=True))
        object.__setattr__(self, "latency", _finite("latency", self.latency))
        require(self.source != self.target, "target", "differ from source", self.target)
        known = self.admission in ("on_arrival", "before_transfer")
        require(known, "admission", "be on_arrival or before_transfer", self.admission)
        known = self.release in ("sent", "start")
        require(known, "release", "be sent or start", self.release)


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What is given: devices, request streams, links, traces.

    Args:
        devices: At least one, with distinct names.
        chains: At least one, with distinct names.
        links: At most one per ordered pair of devices; a missing link costs nothing.
        traces: Exit traces that chains name.
        overflow: ``drop`` what does not fit, or ``block`` the sender: a served job keeps its server
            and its units until the next device has room (blocking after service), its units alone
            where it has been sent there. Those who wait enter in the order they began to; what
            arrives from outside and finds no room is lost all the same.
    """

    devices: tuple[Device, ...]
    chains: tuple[Chain, ...]
    links: tuple[Link, ...] = ()
    traces: tuple[ExitTrace, ...] = ()
    overflow: Overflow = "drop"

    def __post_init__(self) -> None:
        for field in ("devices", "chains", "links", "traces"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        require(len(self.devices) > 0, "devices", "hold at least one", self.devices)
        require(len(self.chains) > 0, "chains", "hold at least one", self.chains)
        _unique("devices", (device.name for device in self.devices))
        _unique("chains", (chain.name for chain in self.chains))
        _unique("links", (f"{link.source}->{link.target}" for link in self.links))
        _unique("traces", (trace.name for trace in self.traces))
        known = self.overflow in get_args(Overflow)
        require(known, "overflow", "be drop or block", self.overflow)
        self._check_references()

    def _check_references(self) -> None:
        names = {device.name for device in self.devices}
        traces = {trace.name: trace for trace in self.traces}
        for link in self.links:
            for field, device in (("source", link.source), ("target", link.target)):
                require(device in names, f"links.{field}", "name a device", device)
        for chain in self.chains:
            named = chain.trace is None or chain.trace in traces
            require(named, "trace", "name a trace of the problem", chain.trace)
            _check_contexts(chain, traces.get(chain.trace or ""))
            for place, fragment in enumerate(chain.fragments):
                field = f"{chain.name}.{fragment.name}"
                for device in fragment.allowed or ():
                    require(device in names, f"{field}.allowed", "name a device", device)
                if isinstance(fragment.service, Mapping):
                    for device in fragment.service:
                        require(device in names, f"{field}.service", "name a device", device)
                placeable = any(chain.may_run_on(place, device) for device in self.devices)
                require(placeable, f"{field}.allowed", "leave a device", fragment.allowed)

    def device_index(self) -> dict[str, int]:
        """Return each device's 0-based position by name."""
        return {device.name: index for index, device in enumerate(self.devices)}


Paths = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """A problem and every decision about it.

    Args:
        problem: What is given.
        placement: Per chain the device of each fragment, or several such paths.
        routing: Per chain the probability of each path; needed where there are several.
        exits: Per chain an exit mix or thresholds; none means that no job leaves early.
        batching: Per accelerator its batch configuration; one sample after the other without.
        fuse: Whether consecutive fragments on one device are one step.
    """

    problem: Problem
    placement: Mapping[str, Paths]
    routing: Mapping[str, tuple[float, ...]] | None = None
    exits: Mapping[str, ExitMix | Thresholds] | None = None
    batching: Mapping[str, BatchConfig] | None = None
    fuse: bool = True

    def __post_init__(self) -> None:
        chains = {chain.name: chain for chain in self.problem.chains}
        for field in ("placement", "routing", "exits"):
            for name in getattr(self, field) or {}:
                require(name in chains, field, "name chains of the problem", name)
        placement = {}
        for name, chain in chains.items():
            require(name in self.placement, "placement", "place every chain", name)
            placement[name] = self._checked_paths(chain, self.placement[name])
        object.__setattr__(self, "placement", FrozenMap(placement))
        routing = {
            name: self._checked_routing(name, len(paths)) for name, paths in placement.items()
        }
        object.__setattr__(self, "routing", FrozenMap(routing))
        object.__setattr__(self, "exits", FrozenMap(self.exits or {}))
        for name, decision in (self.exits or {}).items():
            self._check_exits(chains[name], decision)
        object.__setattr__(self, "batching", FrozenMap(self.batching or {}))
        self._check_batching()

    def _check_batching(self) -> None:
        devices = {device.name: device for device in self.problem.devices}
        for name in self.batching or {}:
            require(name in devices, "batching", "name devices of the problem", name)
            has_npu = devices[name].npu is not None
            require(has_npu, f"batching.{name}", "be given for accelerators only", name)
        if all(device.npu is None for device in self.problem.devices):
            return
        classified: dict[str, tuple[bool, ...]] = {}
        for chain in self.problem.chains:
            model = str(chain.model)
            for name in {name for path in self.placement[chain.name] for name in path}:
                npu = devices[name].npu
                if npu is None:
                    continue
                known = classified.setdefault(model, chain.classified)
                rule = f"have classifiers where the other chains of model {model} do"
                require(known == chain.classified, f"{chain.name}.fragments", rule, chain.name)
                largest, most = self.batch_config(name).max_batch, npu.longest_batch(model)
                rule = f"be <= {most}, the largest batch in the table of {model}"
                fits = most is None or largest <= most
                require(fits, f"batching.{name}.max_batch", rule, largest)

    def batch_config(self, device: str) -> BatchConfig:
        """Return how an accelerator forms batches.

        Args:
            device: Name of a device with an accelerator.

        Returns:
            What was decided, or one sample after the other.
        """
        return (self.batching or {}).get(device, BatchConfig())

    def _check_exits(self, chain: Chain, decision: ExitMix | Thresholds) -> None:
        field = f"exits.{chain.name}"
        require(not chain.parallel, field, "be absent for a parallel chain", decision)
        classifiers = sum(fragment.exit is not None for fragment in chain.fragments)
        decision.check(chain.name, classifiers)
        if isinstance(decision, Thresholds):
            for trace in self.problem.traces:
                exits = trace.confidences.shape[1]
                matching = trace.name != chain.trace or exits == classifiers + 1
                require(matching, f"{chain.name}.trace", f"hold {classifiers + 1} exits", exits)

    def _checked_paths(self, chain: Chain, paths: object) -> Paths:
        field = f"placement.{chain.name}"
        sequence = isinstance(paths, Sequence) and not isinstance(paths, str) and len(paths) > 0
        require(sequence, field, "list a device per fragment", paths)
        assert isinstance(paths, Sequence)
        listed = (paths,) if isinstance(paths[0], str) else paths
        devices = {device.name: device for device in self.problem.devices}
        checked = []
        for path in listed:
            proper = isinstance(path, Sequence) and not isinstance(path, str)
            require(
                proper and len(path) == len(chain.fragments),
                field,
                f"list {len(chain.fragments)} devices",
                path,
            )
            for place, device in enumerate(path):
                require(device in devices, field, "name devices of the problem", device)
                name = chain.fragments[place].name
                fits = chain.may_run_on(place, devices[device])
                require(fits, field, f"keep {name} on a device it may run on", device)
                apart = not chain.parallel or devices[device].npu is None
                require(apart, field, "keep parallel chains off accelerators", device)
            checked.append(tuple(path))
        return tuple(checked)

    def _checked_routing(self, name: str, paths: int) -> tuple[float, ...]:
        given = (self.routing or {}).get(name)
        field = f"routing.{name}"
        if given is None:
            require(paths == 1, field, f"give the probabilities of {paths} paths", None)
            return (1.0,)
        require(len(given) == paths, field, f"hold {paths} probabilities", given)
        proper = all(math.isfinite(p) and p >= 0 for p in given)
        tolerance = 1e-9  # sums of decimal fractions as people write them
        require(proper and abs(sum(given) - 1) <= tolerance, field, "be >= 0 and sum to 1", given)
        return tuple(float(p) for p in given)

    def steps(self) -> tuple[tuple[tuple[Step, ...], ...], ...]:
        """Return the steps of every path of every chain.

        Returns:
            ``steps()[chain][path]`` is the tuple of steps in the order a job visits them.
        """
        index = self.problem.device_index()
        batching = np.array([device.npu is not None for device in self.problem.devices])
        return tuple(
            tuple(
                path_steps(
                    np.array([index[device] for device in path]),
                    [fragment.demand for fragment in chain.fragments],
                    chain.classified,
                    batching,
                    fuse=self.fuse,
                )
                for path in self.placement[chain.name]
            )
            for chain in self.problem.chains
        )
