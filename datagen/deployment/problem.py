"""Problems: the devices, chains, links and traces that are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from datagen.deployment.chain import Chain
from datagen.deployment.checks import finite, require_distinct
from datagen.deployment.device import Device
from datagen.errors import require
from datagen.exits import ExitTrace

__all__ = ["Link", "Overflow", "Problem"]

Overflow = Literal["drop", "block"]


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
        object.__setattr__(self, "bandwidth", finite("bandwidth", self.bandwidth, positive=True))
        object.__setattr__(self, "latency", finite("latency", self.latency))
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
        require_distinct("devices", (device.name for device in self.devices))
        require_distinct("chains", (chain.name for chain in self.chains))
        require_distinct("links", (f"{link.source}->{link.target}" for link in self.links))
        require_distinct("traces", (trace.name for trace in self.traces))
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


def _check_contexts(chain: Chain, trace: ExitTrace | None) -> None:
    """Check that the contexts a chain meets are those of its trace."""
    if chain.contexts is not None:
        field = f"{chain.name}.contexts"
        recorded = trace is not None and trace.contexts > 0
        require(recorded, field, "go with a trace that has contexts", chain.trace)
        assert trace is not None
        chain.contexts.check(field, trace.contexts, chain.arrivals.rate)
