"""How large errors are to be expected, chain by chain, before any is seen.

A network errs more where it corrects the analytic prior more, where losses and waits are neither
absent nor certain, and around full load. A linear model of the logarithm of the error on a few such
numbers says by how much. Intervals are measured in it, so that one radius fits hard chains and easy
ones.

References:
    Papadopoulos, Gammerman and Vovk, Normalized nonconformity measures for regression conformal
    prediction, AIA 2008.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from surrogate.features.arrays import FlowArrays
from surrogate.features.features import Features
from surrogate.models.joining import Ways, joined_ways
from surrogate.models.readout import Prediction
from surrogate.targets import RATIO, TARGETS, predicted_targets

__all__ = ["LEAST_ERROR", "Chains", "ErrorScale"]

LEAST_ERROR = 1e-2
"""Errors below count as that: they hardly matter, and are partly noise of the labels."""

SMALLEST_CORRECTION = 1e-4
"""Corrections of the prior below are not told apart."""

LOAD_RANGE = (1e-3, 1e3)
"""Loads outside are no idler and no fuller."""

RIDGE = 1e-3
"""Pull of the weights towards 0, per chain: inputs that go together share their effect."""

LARGEST_LOSS = 1.0 - 1e-6
"""A step's loss by the prior counts as no more: its logarithm stays finite."""

SMALLEST_STD = 1e-3
"""Inputs that hardly vary are not stretched further."""

TINY = 1e-12
"""Keeps ratios of times finite where nothing has to be done [s]."""


@dataclass(frozen=True, kw_only=True)
class Chains:
    """What intervals depend on, chain by chain.

    Args:
        load: Largest offered load among the chain's devices [C].
        length: Steps of its longest path [C].
        count: Chains of its deployment [C].
        deployment: Number of its deployment; only whether two are the same matters [C].
        inputs: What the size of the error is told from [C, 10].
        predicted: Target -> prediction [C].
    """

    load: Tensor
    length: Tensor
    count: Tensor
    deployment: Tensor
    inputs: Tensor
    predicted: dict[str, Tensor]

    @classmethod
    def of(cls, arrays: FlowArrays, features: Features, prediction: Prediction) -> Chains:
        """Describe the chains of a batch.

        Args:
            arrays: The deployments.
            features: Their features.
            prediction: What a network says of them.

        Returns:
            Their description.
        """
        none = torch.zeros_like(arrays.chain_scv)
        chain = arrays.flow_chain.index_select(0, arrays.step_flow)
        load = none.scatter_reduce(0, chain, arrays.at_steps(features.prior.offered), "amax")
        length = none.scatter_reduce(
            0, arrays.flow_chain, arrays.flow_length.to(none.dtype), "amax"
        )
        chains = none.new_zeros(arrays.deployments)
        chains = chains.scatter_add(0, arrays.chain_deployment, torch.ones_like(none))
        count = chains.index_select(0, arrays.chain_deployment)
        throughput, latency = (RATIO.spread(value) for value in _prior(arrays, features))
        said = RATIO.spread(prediction.throughput_ratio), RATIO.spread(prediction.latency_ratio)
        log_load = load.clamp(*LOAD_RANGE).log()
        inputs = [
            ((said[0] - throughput).abs() + SMALLEST_CORRECTION).log(),
            ((said[1] - latency).abs() + SMALLEST_CORRECTION).log(),
            said[0],
            said[1],
            said[0] ** 2,
            said[1] ** 2,
            log_load,
            log_load**2,
            length.log(),
            count.log(),
        ]
        return cls(
            load=load,
            length=length,
            count=count,
            deployment=arrays.chain_deployment,
            inputs=torch.stack(inputs, dim=-1),
            predicted=predicted_targets(prediction),
        )

    def select(self, kept: Tensor) -> Chains:
        """Return some of the chains.

        Args:
            kept: Whether each is one of them [C].

        Returns:
            Their description, in the same order.
        """
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        predicted = {name: values[kept] for name, values in plain.pop("predicted").items()}
        return Chains(predicted=predicted, **{name: values[kept] for name, values in plain.items()})

    @classmethod
    def joined(cls, parts: Sequence[Chains]) -> Chains:
        """Join descriptions end to end; the deployments of each part are others.

        Args:
            parts: At least one.

        Returns:
            One description.
        """
        offset, deployment = 0, []
        for part in parts:
            deployment.append(part.deployment + offset)
            offset = int(deployment[-1].max()) + 1
        plain = [item.name for item in fields(cls) if item.name not in ("deployment", "predicted")]
        return cls(
            deployment=torch.cat(deployment),
            predicted={n: torch.cat([part.predicted[n] for part in parts]) for n in TARGETS},
            **{name: torch.cat([getattr(part, name) for part in parts]) for name in plain},
        )


def _prior(arrays: FlowArrays, features: Features) -> tuple[Tensor, Tensor]:
    """Throughput ratio and latency ratio of every chain by the decomposition [C]."""
    prior = features.prior
    passed = arrays.sum_to_flows(torch.log1p(-prior.step_loss.clamp(0.0, LARGEST_LOSS))).exp()
    unloaded = arrays.sum_to_flows(arrays.step_mean)
    latency = unloaded + arrays.sum_to_flows(prior.step_wait)
    flows = Ways(
        log_passed=passed.log(),
        latency=latency,
        unloaded=unloaded,
        least=unloaded,
        law=unloaded.new_zeros(len(unloaded), 0),
        chain=arrays.flow_chain,
        probability=arrays.flow_probability,
    )
    ways = joined_ways(arrays, flows, None)
    values = [passed if ways is flows else ways.log_passed.exp(), ways.unloaded, ways.latency]
    columns = torch.stack(values, dim=-1) * ways.probability[:, None]
    total = columns.new_zeros(arrays.chains, 3).index_add(0, ways.chain, columns)
    throughput, unloaded, latency = total.unbind(-1)
    return throughput, unloaded.clamp_min(TINY) / latency.clamp_min(TINY)


@dataclass(frozen=True, kw_only=True)
class ErrorScale:
    """Linear model of the logarithm of the error.

    Args:
        mean: Shift of each input [F].
        std: Scale of each input, > 0 [F].
        weights: Target -> weight of each input, the constant last [F + 1].
        largest: Target -> largest logarithm seen; none is expected beyond.
    """

    mean: Tensor
    std: Tensor
    weights: dict[str, Tensor]
    largest: dict[str, float]

    @classmethod
    def fit(cls, inputs: Tensor, errors: Mapping[str, Tensor]) -> ErrorScale:
        """Find the weights by least squares.

        Args:
            inputs: Inputs of chains [C, F].
            errors: Target -> errors on its scale, >= 0; NaN where unknown [C].

        Returns:
            The model; a target without errors gets the smallest scale.
        """
        mean, std = inputs.mean(dim=0), inputs.std(dim=0, correction=0).clamp_min(SMALLEST_STD)
        table = _with_constant((inputs - mean) / std)
        weights, largest = {}, {}
        for name, error in errors.items():
            known = torch.isfinite(error)
            rows, wanted = table[known], error[known].clamp_min(LEAST_ERROR).log().double()
            pull = RIDGE * max(len(rows), 1) * torch.eye(table.shape[1], dtype=torch.float64)
            pull[-1, -1] = TINY  # the constant is free
            solved = torch.linalg.solve(rows.T @ rows + pull, rows.T @ wanted)
            weights[name] = solved.float()
            largest[name] = float(wanted.max()) if len(wanted) else math.log(LEAST_ERROR)
        return cls(mean=mean, std=std, weights=weights, largest=largest)

    def expected(self, name: str, inputs: Tensor) -> Tensor:
        """Return how large an error is to be expected.

        Args:
            name: The target.
            inputs: Inputs of chains [C, F].

        Returns:
            Errors on the target's scale, within what was seen [C].
        """
        scaled = (inputs - self.mean) / self.std
        log_error = scaled @ self.weights[name][:-1] + self.weights[name][-1]
        return log_error.clamp(math.log(LEAST_ERROR), self.largest[name]).exp()

    def as_json(self) -> dict[str, object]:
        """Return the form that config files hold."""
        return {
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "weights": {name: values.tolist() for name, values in self.weights.items()},
            "largest": self.largest,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> ErrorScale:
        """Read the form that config files hold.

        Args:
            document: What :meth:`as_json` gave.

        Returns:
            The model.

        Raises:
            ValueError: If the shapes do not belong together.
        """
        mean, std = torch.tensor(document["mean"]), torch.tensor(document["std"])
        stored: Mapping[str, list[float]] = document["weights"]  # type: ignore[assignment]
        weights = {name: torch.tensor(stored[name]) for name in TARGETS if name in stored}
        for name, values in weights.items():
            if len(values) != len(mean) + 1 or len(std) != len(mean):
                rule = f"hold {len(mean) + 1} numbers"
                raise ValueError(f"intervals.scale.weights.{name} must {rule}, got {len(values)}.")
        largest: Mapping[str, float] = document["largest"]  # type: ignore[assignment]
        return cls(
            mean=mean, std=std, weights=weights, largest={n: float(largest[n]) for n in weights}
        )


def _with_constant(scaled: Tensor) -> Tensor:
    """Append a column of ones, in float64 [C, F + 1]."""
    return torch.cat([scaled, torch.ones_like(scaled[:, :1])], dim=-1).double()
