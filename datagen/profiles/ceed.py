"""Import of CEED's measured profile of an early-exit network on a device.

``model_profile.json`` says behind which layers of the backbone the classifiers (*gates*) hang, the
final one included; ``system_profile.json`` holds what was measured: time of each layer and of each
operation of each gate [s, batch 1], size of each layer's output as it would be sent [bytes], memory
of the whole model [bytes]. Stages between gates (or all layers) become fragments:

- work: log-normal by the measured mean and variance; those of a run of layers add up, as if they
  were independent. In the published profile the sums exceed the measured whole inferences by at
  most 7 % from the second gate on (21 % at the first, which takes 3 ms); standard deviations are
  0.65 to 0.95 of the measured ones up to gate 6, for layers are slow together, and 1.4 to 1.7 of
  them at the last two.
- classifier: the sum of its operations, an exit head; that of the last gate is a part of the last
  fragment, for every job that comes so far needs it.
- output: bytes on the wire, the 747 bytes of the serialization included.
- weights: the model's memory, split by the parameters of each layer (:mod:`residual`).

References:
    Github imperial-qore/CEED (BSD 3-Clause).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Exit, Fragment, Problem
from datagen.distributions import Deterministic, Law, LogNormal
from datagen.documents import to_yaml
from datagen.documents.plain import load_json
from datagen.errors import InvalidInputError, require
from datagen.exits import ExitMix
from datagen.profiles.residual import classifier_parameters, layer_parameters

__all__ = ["CeedProfile", "Moments", "import_ceed", "read_ceed"]

SERIALIZATION = 747
"""Bytes that a serialized tensor has beside its numbers, the same for every size."""

NUMBER_BYTES = 4
"""Bytes of a number in a tensor."""

DEVICE, CHAIN = "device", "classify"
"""Names in the document."""

CAPACITY = 10
"""Buffer of the device, in jobs, unless said otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moments:
    """First two moments of a time.

    Args:
        mean: Mean [s], >= 0.
        variance: Variance [s^2], >= 0.
    """

    mean: float = 0.0
    variance: float = 0.0

    def __add__(self, other: Moments) -> Moments:
        return Moments(mean=self.mean + other.mean, variance=self.variance + other.variance)

    def law(self) -> Law:
        """Return the log-normal law of these moments."""
        if self.variance == 0 or self.mean == 0:
            return Deterministic(mean=self.mean)
        return LogNormal(mean=self.mean, scv=self.variance / self.mean**2)


@dataclass(frozen=True, kw_only=True, slots=True)
class CeedProfile:
    """What the two files say, layer by layer and gate by gate.

    Args:
        layers: Names of the L layers.
        gates: Layer behind which each of the E gates hangs, ascending; the last is L - 1.
        times: Time of each layer [L].
        heads: Time of each gate's own operations [E].
        output: Size of each layer's output on the wire [bytes], [L].
        weights: Memory of each layer, its gate's included [bytes], [L].
        accuracy: Accuracy if all leave at a gate [E], or None where the profile does not say.
        measured: Time of whole inferences that leave at each gate [E].
    """

    layers: tuple[str, ...]
    gates: tuple[int, ...]
    times: tuple[Moments, ...]
    heads: tuple[Moments, ...]
    output: tuple[float, ...]
    weights: tuple[float, ...]
    accuracy: tuple[float, ...] | None = None
    measured: tuple[Moments, ...] = field(default=(), repr=False)

    def fragments(self, *, by_layer: bool = False) -> tuple[Fragment, ...]:
        """Return the fragments.

        Args:
            by_layer: Whether each layer is one, or each run of layers up to a gate.

        Returns:
            Fragments in order; those before a gate have an exit, the last has the final classifier.
        """
        ends = range(len(self.layers)) if by_layer else self.gates
        fragments = []
        for start, end in pairwise((-1, *ends)):
            work = sum(self.times[start + 1 : end + 1], Moments())
            last = end == len(self.layers) - 1
            place = self.gates.index(end) if end in self.gates else None
            head = None if place is None else self.heads[place]
            fragments.append(
                Fragment(
                    name=self.layers[end] if by_layer else f"to_gate_{place}",
                    service=(work + head if last and head is not None else work).law(),
                    weights=sum(self.weights[start + 1 : end + 1]),
                    output=0.0 if last else self.output[end],
                    exit=None if last or head is None else Exit(head=head.law()),
                )
            )
        return tuple(fragments)

    def deployment(
        self,
        *,
        rate: float,
        capacity: int = CAPACITY,
        mix: Sequence[float] | None = None,
        by_layer: bool = False,
    ) -> Deployment:
        """Return the network on the one device it was measured on.

        Args:
            rate: Poisson arrivals [1/s], > 0.
            capacity: Buffer of the device, the job in service included, >= 1.
            mix: Share of the jobs that leave at each gate [E]; None if all leave at the last.
            by_layer: Whether each layer is a fragment, or each run of layers up to a gate.

        Returns:
            The deployment, all its classifiers open.
        """
        shares = (0.0,) * (len(self.gates) - 1) + (1.0,) if mix is None else tuple(mix)
        fragments = self.fragments(by_layer=by_layer)
        chain = Chain(name=CHAIN, arrivals=Poisson(rate=rate), fragments=fragments)
        device = Device(name=DEVICE, capacity=capacity, memory=sum(self.weights))
        return Deployment(
            problem=Problem(devices=(device,), chains=(chain,)),
            placement={CHAIN: ((DEVICE,) * len(fragments),)},
            exits={CHAIN: ExitMix(p=shares, accuracy=self.accuracy)},
        )


def read_ceed(model: str | Path, system: str | Path) -> CeedProfile:
    """Read a pair of profiles.

    Args:
        model: ``model_profile.json``.
        system: ``system_profile.json``.

    Returns:
        What they say.

    Raises:
        InvalidInputError: If a file cannot be read, lacks a field, or they do not fit together.
    """
    about, found = _document(model, "model"), _document(system, "system")
    times = _section(found, "backbone_execution_time")
    sizes = _section(found, "backbone_output_memory")
    same = list(times) == list(sizes)
    require(same, "backbone_output_memory", "name the layers of backbone_execution_time", [*sizes])
    kinds = [_kind(name, place) for place, name in enumerate(times)]
    gates = _gates(about, len(kinds))
    heads = [_head(found, gate, layer) for gate, layer in enumerate(gates)]
    output = [_number(sizes, name, "backbone_output_memory") for name in sizes]
    return CeedProfile(
        layers=tuple(times),
        gates=tuple(gates),
        times=tuple(_moments(times, name, "backbone_execution_time") for name in times),
        heads=tuple(heads),
        output=tuple(output),
        weights=tuple(_weights(about, found, kinds, output, gates)),
        accuracy=_accuracy(about, len(gates)),
        measured=tuple(
            _moments(found, f"execution_time_gate_{gate}_layer_{layer}", "system")
            for gate, layer in enumerate(gates)
        ),
    )


def import_ceed(
    model: str | Path, system: str | Path, out: str | Path, **settings: Any
) -> Deployment:
    """Write a pair of profiles as a deployment document.

    Args:
        model: ``model_profile.json``.
        system: ``system_profile.json``.
        out: The YAML file to write.
        settings: See :meth:`CeedProfile.deployment`.

    Returns:
        The deployment written.

    Raises:
        InvalidInputError: If the profiles are not such files, or ``out`` cannot be written.
    """
    deployment = read_ceed(model, system).deployment(**settings)
    try:
        Path(out).write_text(to_yaml(deployment), encoding="utf-8")
    except OSError as error:
        rule = f"be a file that can be written ({(error.strerror or 'refused').lower()})"
        raise InvalidInputError("out", rule, str(out)) from None
    return deployment


def _document(path: str | Path, name: str) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InvalidInputError(name, "be a readable JSON file", str(path)) from None
    try:
        return load_json(text)
    except InvalidInputError as error:
        raise error.within(name) from None


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = document.get(name)
    if not isinstance(section, dict) or not section:
        raise InvalidInputError(name, "be given", section)
    return section


def _number(section: Mapping[str, Any], name: str, path: str, least: float = 0.0) -> float:
    value = section.get(name)
    proper = isinstance(value, int | float) and not isinstance(value, bool) and value >= least
    require(proper, f"{path}.{name}", f"be a number >= {least:g}", value)
    return float(value)  # type: ignore[arg-type]


def _moments(section: Mapping[str, Any], name: str, path: str) -> Moments:
    record = section.get(name)
    if not isinstance(record, dict):
        raise InvalidInputError(f"{path}.{name}", "be given", record)
    where = f"{path}.{name}"
    mean, variance = (_number(record, moment, where) for moment in ("mean", "var"))
    return Moments(mean=mean, variance=variance)


def _kind(name: str, place: int) -> str:
    found = re.fullmatch(r"layer_(\d+)_(\w+?)(_\d+)?", name)
    ordered = found is not None and int(found[1]) == place
    require(ordered, "backbone_execution_time", f"have layer_{place}_... in place {place}", name)
    assert found is not None
    return found[2]


def _gates(about: Mapping[str, Any], layers: int) -> list[int]:
    given = about.get("early_exits_gates")
    gates = given if isinstance(given, list) else []
    whole = len(gates) > 0 and all(type(gate) is int for gate in gates)
    ascending = whole and gates[0] >= 0 and all(a < b for a, b in pairwise(gates))
    rule = f"ascend from 0 at least to the last layer, {layers - 1}"
    require(ascending and gates[-1] == layers - 1, "early_exits_gates", rule, given)
    return gates


def _head(found: Mapping[str, Any], gate: int, layer: int) -> Moments:
    operations = _section(found, "gate_execution_time")
    # With the underscore behind it: layer_1 is not layer_11.
    own = [name for name in operations if name.startswith(f"gate_{gate}_layer_{layer}_")]
    field_ = "gate_execution_time"
    require(len(own) > 0, field_, f"have gate_{gate}_layer_{layer}_...", [*operations])
    return sum((_moments(operations, name, field_) for name in own), Moments())


def _weights(
    about: Mapping[str, Any],
    found: Mapping[str, Any],
    kinds: Sequence[str],
    output: Sequence[float],
    gates: Iterable[int],
) -> list[float]:
    """Return the share of each layer in the memory of the model [bytes]."""
    total = _number(_section(found, "memory"), "model", "memory")
    given = about.get("input_size")
    shape = given if isinstance(given, list) else []
    proper = len(shape) == 3 and all(type(x) is int and x >= 1 for x in shape)
    require(proper, "input_size", "hold channels, height and width", given)
    classes = int(_number(about, "num_classes", "model", least=2))
    numbers = [(size - SERIALIZATION) / NUMBER_BYTES for size in output]
    try:
        parameters, channels = layer_parameters(kinds, numbers, shape)
    except InvalidInputError as error:
        raise error.within("system") from None
    for gate in gates:
        parameters[gate] += classifier_parameters(channels[gate], classes)
    # Whole bytes, so that sums are exact and the model fits into its own memory.
    return [total * count // sum(parameters) for count in parameters]


def _accuracy(about: Mapping[str, Any], gates: int) -> tuple[float, ...] | None:
    if about.get("accuracy") is None:
        return None
    section = _section(about, "accuracy")
    return tuple(_number(section, f"gate_{gate}", "accuracy") for gate in range(gates))
