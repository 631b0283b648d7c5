"""A released network as a program of ``torch.export``, to run where this package is not installed.

What is exported is the network with its read-out, from features to measures; features, prior and
layout come from :func:`program_inputs`, which needs this package. The program takes any number of
deployments, chains, steps and devices. Chains have one path, as those of released surrogates have,
and at most as many steps as it was exported for: its recurrence runs over padded chains of that
length, since the number of its turns is part of a traced program.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from datagen.errors import require
from datagen.evaluation import DeploymentBatch
from surrogate.checkpoints import load_release
from surrogate.errors import CheckpointError
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.features.companions import Companions
from surrogate.features.features import FeatureFunction, Features
from surrogate.features.groups import feature_groups
from surrogate.features.labels import QUANTILES
from surrogate.features.prior import Prior
from surrogate.models import ChainNet

__all__ = ["export_surrogate", "program_inputs"]

LONGEST = 12
"""Steps of the longest chain that a program takes unless said otherwise: as the training data."""

LEVELS = {
    "step": Dim("steps", min=1),
    "device": Dim("devices", min=1),
    "flow": Dim("chains", min=1),
    "pair": Dim("pairs", min=0),
}
"""Level of an input, the first word of its name -> what its first dimension counts."""

LAYOUT = (
    "step_device",
    "step_flow",
    "step_position",
    "step_mean",
    "step_scv",
    "step_demand",
    "device_capacity",
    "device_servers",
    "flow_chain",
    "flow_length",
)
"""Fields of the flow arrays that a network reads."""

WEIGHTS_ASSIGNED = r"(?s).*_flat_weights.*were assigned during export"
"""Said of recurrent layers, which gather their weights anew when they are called: no effect."""


class _Padded(ChainNet):
    """The network with its recurrence over padded flows, of ``longest`` steps each."""

    longest: int

    def along_flows(self, arrays: FlowArrays, met: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        padded = met.new_zeros(self.longest, flow.shape[0], met.shape[1])  # [L, P, 2 H]
        padded = padded.index_put((arrays.step_position, arrays.step_flow), met)
        output, _ = self.recurrence(padded, flow.unsqueeze(0))
        each = torch.arange(flow.shape[0], device=flow.device)
        passed = output[arrays.step_position, arrays.step_flow]
        return passed, output[arrays.flow_length - 1, each]


class _Program(nn.Module):
    """Tensors in, tensors out."""

    def __init__(self, network: _Padded) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        none = inputs["flow_length"].new_zeros(0)
        layout = {name: inputs[name] for name in LAYOUT}
        unread = {
            item.name: none
            for item in fields(FlowArrays)
            if item.name not in LAYOUT and item.default is MISSING and item.name != "deployments"
        }
        whole = torch.ones_like(inputs["flow_features"][:, 0])
        unread |= {"flow_probability": whole, "chain_scv": whole}
        pairs = Companions(*(inputs[f"pair_{name}"] for name in Companions._fields))
        arrays = FlowArrays(
            **layout,
            **unread,
            deployments=0,
            known_hops=None,
            known_companions=pairs,
            batch=None,
            branches=None,
        )
        prior = {item.name: none for item in fields(Prior) if item.default is MISSING}
        prior |= {name: inputs[f"{name}_prior"] for name in ("step_loss", "step_wait")}
        features = Features(
            step=inputs["step_features"],
            device=inputs["device_features"],
            flow=inputs["flow_features"],
            prior=Prior(**prior),
            companion=inputs["pair_features"],
        )
        said = self.network.predict(arrays, features)
        quantiles = said.law.log_quantiles.exp().unbind(-1)
        return {
            "throughput_ratio": said.throughput_ratio,
            "loss_ratio": said.loss_ratio,
            "latency": said.latency,
            "latency_ratio": said.latency_ratio,
            **dict(zip(QUANTILES, quantiles, strict=True)),
            "step_sojourn": said.step_sojourn,
        }


def program_inputs(
    batch: DeploymentBatch, groups: Sequence[str] = ("spacing",)
) -> dict[str, Tensor]:
    """Return what an exported program takes.

    Args:
        batch: Packed deployments with one path per chain.
        groups: Feature groups of the exported network; by default those of ``chainnet``.

    Returns:
        Features by level [S, ...], [D, ...], [P, ...] and [Q, ...], loss and wait of each step by
        the prior [S], and the layout: fields of :class:`~surrogate.features.arrays.FlowArrays` and
        of :class:`~surrogate.features.companions.Companions`. Steps are in recurrence order, chains
        in that of the batch.

    Raises:
        InvalidInputError: If a chain has several paths.
    """
    arrays = flow_arrays(batch)
    one = len(arrays.flow_chain) == arrays.chains
    require(one, "routing", "give each chain one path", len(arrays.flow_chain))
    with torch.no_grad():
        features = FeatureFunction(feature_groups(groups), companions=True)(arrays)
    pairs = {f"pair_{name}": rows for name, rows in arrays.companions._asdict().items()}
    return {
        "step_features": features.step,
        "device_features": features.device,
        "flow_features": features.flow,
        "pair_features": features.companion,
        "step_loss_prior": features.prior.step_loss,
        "step_wait_prior": features.prior.step_wait,
        **{name: getattr(arrays, name) for name in LAYOUT},
        **pairs,
    }


def export_surrogate(
    name_or_path: str | Path, sample: DeploymentBatch, longest: int = LONGEST
) -> ExportedProgram:
    """Export the network of a released surrogate.

    ``torch.export.save`` writes the program; loaded again, ``program.module()`` takes what
    :func:`program_inputs` gives, and returns measures by name: per chain ``throughput_ratio``,
    ``loss_ratio``, ``latency`` [s], ``latency_ratio`` and the quantiles ``p50``, ``p95``, ``p99``
    [s] of the latency [C], and per step ``step_sojourn`` [s] [S], in recurrence order.

    Args:
        name_or_path: Name of a shipped checkpoint or a checkpoint folder.
        sample: A few deployments to trace the network with, with several chains and devices.
        longest: Steps of the longest chain that the program takes, >= 1.

    Returns:
        The program, on the CPU.

    Raises:
        CheckpointError: If the checkpoint cannot be loaded, or its network is no ``ChainNet`` or
            has feature groups with a prior of their own.
        InvalidInputError: If the sample has a chain of several paths or of too many steps.
    """
    network = load_release(name_or_path).network
    if type(network) is not ChainNet:
        got = type(network).__name__
        raise CheckpointError(f"network must be ChainNet to be exported, got {got}.")
    groups = network.settings.get("groups", [])
    if not all(group.keeps_prior for group in feature_groups(groups)):
        raise CheckpointError(f"groups must keep the prior to be exported, got {groups}.")
    require(longest >= 1, "longest", "be >= 1", longest)
    inputs = program_inputs(sample, groups)
    steps = int(inputs["flow_length"].max())
    require(steps <= longest, "sample", f"have chains of {longest} steps at most", steps)
    padded = _Padded(**network.settings)
    padded.load_state_dict(network.state_dict())
    padded.longest = longest
    shapes = {name: {0: LEVELS[name.split("_")[0]]} for name in inputs}
    program = _Program(padded).eval().requires_grad_(requires_grad=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=WEIGHTS_ASSIGNED, category=UserWarning)
        return torch.export.export(program, (inputs,), dynamic_shapes=(shapes,))
