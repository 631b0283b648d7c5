"""Deployments: a problem and every decision about it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from datagen.deployment.chain import Chain
from datagen.deployment.problem import Problem
from datagen.errors import require
from datagen.exits import ExitMix, Thresholds
from datagen.frozen import FrozenMap
from datagen.npu.batching import BatchConfig
from datagen.steps import Step, path_steps

__all__ = ["Deployment", "Paths"]

Paths = tuple[tuple[str, ...], ...]
"""Device of each fragment, by path."""


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
