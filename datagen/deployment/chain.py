"""Chains: request streams, the fragments of a DNN that answer them, and where these may end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral

from datagen.arrivals import Arrivals
from datagen.deployment.checks import (
    finite,
    is_number,
    require_distinct,
    require_name,
    whole,
)
from datagen.deployment.device import LARGEST_WHOLE, Device
from datagen.distributions import Deterministic, Law
from datagen.errors import require
from datagen.exits import Contexts
from datagen.frozen import FrozenMap

__all__ = ["Chain", "Exit", "Fragment", "Variant"]


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
        require_name(self.name)
        if isinstance(self.service, Mapping):
            require(len(self.service) > 0, "service", "name at least one device", self.service)
            object.__setattr__(self, "service", FrozenMap(self.service))
        else:
            require(isinstance(self.service, Law), "service", "be a law", self.service)
        object.__setattr__(self, "demand", whole("demand", self.demand, 1))
        object.__setattr__(self, "weights", finite("weights", self.weights))
        object.__setattr__(self, "output", finite("output", self.output))
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
        require_name(self.name)
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
        require_name(self.name)
        require(
            isinstance(self.arrivals, Arrivals), "arrivals", "be an arrival process", self.arrivals
        )
        object.__setattr__(self, "fragments", tuple(self.fragments))
        object.__setattr__(self, "variants", tuple(self.variants))
        require(len(self.fragments) > 0, "fragments", "hold at least one", self.fragments)
        require_distinct("fragments", (fragment.name for fragment in self.fragments))
        require_distinct("variants", (variant.name for variant in self.variants))
        is_whole = is_number(self.priority) and isinstance(self.priority, Integral)
        require(is_whole, "priority", "be a whole number", self.priority)
        packed = abs(self.priority) <= LARGEST_WHOLE
        require(packed, "priority", f"lie within +-{LARGEST_WHOLE}", self.priority)
        if self.deadline is not None:
            object.__setattr__(self, "deadline", finite("deadline", self.deadline, positive=True))
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
