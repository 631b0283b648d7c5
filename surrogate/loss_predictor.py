"""Thresholds and routing to loss and accuracy: exit model, expansion, chain network, gradients.

A deployment is expanded once: a chain for every path and exit of its chains. What thresholds and
routing change are the rates of these chains, and which classifiers are computed on the way; both
enter the chain network as tensors that carry gradients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from datagen.deployment import Chain, Deployment, Exit
from datagen.distributions import Deterministic
from datagen.errors import require
from datagen.evaluation import Expansion, pack
from datagen.evaluation.expanded_deployment import LEAST_SHARE
from datagen.exits import ExitMix
from surrogate.exit_model import ExitModel
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.models import ChainNet
from surrogate.models.readout import Prediction, read_out

__all__ = ["LossPredictor", "SystemPrediction"]


@dataclass(frozen=True, kw_only=True)
class SystemPrediction:
    """What thresholds and routing lead to.

    Args:
        loss_ratio: Total lost / total offered, in [0, 1) [B].
        accuracy_offered: Right answers / offered, over the chains that have exits [B].
        mix: Share of each chain's jobs that leaves at each exit, chain by chain [B, sum of E].
        throughput_ratio: Completed / offered of every part of a chain [B, parts].
    """

    loss_ratio: Tensor
    accuracy_offered: Tensor
    mix: Tensor
    throughput_ratio: Tensor


class LossPredictor(nn.Module):
    """The chain network behind exit models, for one deployment with thresholds.

    Args:
        deployment: Placement, and what is given; its thresholds and routing are not read.
        exits: Chain -> where its jobs leave, for every chain that is decided by thresholds.
        network: The chain network; None for the analytic prior alone.

    Raises:
        InvalidInputError: If an exit model is missing or has another number of exits.
    """

    def __init__(
        self, deployment: Deployment, exits: Mapping[str, ExitModel], network: ChainNet | None
    ) -> None:
        super().__init__()
        self.deployment = deployment
        self.network = network
        self._prior = ChainNet(hidden=2, iterations=1).features if network is None else None
        self.exits = nn.ModuleList()
        chains = {chain.name: chain for chain in deployment.problem.chains}
        self.decided = [name for name in chains if name in (deployment.exits or {})]
        for name in self.decided:
            require(name in exits, "exits", "hold a model of every chain with thresholds", name)
            classifiers = sum(f.exit is not None for f in chains[name].fragments)
            fitting = exits[name].exits == classifiers + 1
            require(fitting, f"exits.{name}", f"have {classifiers + 1} exits", exits[name].exits)
            self.exits.append(exits[name])
        self._expand()

    def _expand(self) -> None:
        """Find the parts, and what each classifier adds to each of their steps."""
        base = self.deployment
        chains = base.problem.chains
        columns = [(c.name, f) for c in chains if c.name in self.decided for f in _classified(c)]
        variants = [_with_head(base, self.decided, open_) for open_ in (None, *columns)]
        expansion = Expansion.of(pack(variants))
        first = Expansion.of(pack(variants[:1]))
        steps = len(first.batch.step_mean)
        mean = expansion.batch.step_mean.reshape(len(variants), steps)
        variance = (expansion.batch.step_scv * expansion.batch.step_mean**2).reshape(mean.shape)
        self._batch = first.batch
        self._put("work", mean[0])
        self._put("work_variance", variance[0])
        self._put("head", (mean[1:] - mean[0]).T)  # [S, T]
        self._put("head_variance", (variance[1:] - variance[0]).T)
        rates = np.array([chain.arrivals.rate for chain in chains])
        decided = np.array([chain.name in self.decided for chain in chains])
        self._put("part_rate", rates[first.chain])
        self._put("part_scv", np.array([chain.arrivals.scv for chain in chains])[first.chain])
        paths = [len(base.placement[chain.name]) for chain in chains]
        path_of_part, exit_of_part = _columns(first, paths, [c.name for c in chains], self)
        self.register_buffer("_path", torch.from_numpy(path_of_part))
        self.register_buffer("_exit", torch.from_numpy(exit_of_part))
        self.path_counts = paths
        self._offered = float(rates.sum())
        self._judged = float(rates[decided].sum())
        self._arrays: dict[int, FlowArrays] = {}

    def _put(self, name: str, values: np.ndarray) -> None:
        self.register_buffer(f"_{name}", torch.tensor(values, dtype=torch.float32))

    _work: Tensor
    _work_variance: Tensor
    _head: Tensor
    _head_variance: Tensor
    _part_rate: Tensor
    _part_scv: Tensor
    _path: Tensor
    _exit: Tensor

    @property
    def columns(self) -> int:
        """Number of thresholds T."""
        return int(self._head.shape[1])

    @property
    def steps(self) -> int:
        """Number of steps S of all parts together: the size of a prediction."""
        return len(self._work)

    def forward(self, levels: Tensor, routing: Tensor) -> SystemPrediction:
        """Predict loss and accuracy.

        Args:
            levels: Level of every threshold in [0, 1] [B, T], see :class:`ExitModel`; the columns
                are (chain, classifier) in order.
            routing: Share of every path [B, P], 1 in all per chain.

        Returns:
            Measures with gradients to both.
        """
        start, mixes, rights = 0, [], []
        for model in self.exits:
            assert isinstance(model, ExitModel)
            stop = start + model.exits - 1
            leaving = model(levels[:, start:stop])
            mixes.append(leaving.mix)
            rights.append(leaving.right)
            start = stop
        none = torch.ones_like(levels[:, :1])  # what parts of chains without exits point at
        mix = torch.cat([*mixes, none], dim=1)
        right = torch.cat([*rights, 0.0 * none], dim=1)
        routed = routing[:, self._path]
        share = (routed * mix[:, self._exit]).clamp_min(LEAST_SHARE)
        log_passed = self._passed(share, (levels < 1.0).to(levels.dtype))
        weight = self._part_rate
        lost = -(weight * share * torch.expm1(log_passed)).sum(dim=1)
        answers = (weight * routed * right[:, self._exit] * log_passed.exp()).sum(dim=1)
        return SystemPrediction(
            loss_ratio=lost / self._offered,
            accuracy_offered=answers / max(self._judged, 1e-30),
            mix=mix[:, :-1],
            throughput_ratio=log_passed.exp(),
        )

    def _passed(self, share: Tensor, is_open: Tensor) -> Tensor:
        """Return the logarithm of the throughput ratio of every part [B, parts]."""
        arrays = self._copies(len(share), share.dtype)
        row = arrays.step_row
        mean = (self._work + is_open @ self._head.T).reshape(-1)[row]
        variance = (self._work_variance + is_open @ self._head_variance.T).reshape(-1)[row]
        part = arrays.flow_chain
        rate = (share * self._part_rate).reshape(-1)
        arrays = replace(
            arrays,
            flow_rate=rate[part],
            chain_scv=(1.0 + share * (self._part_scv - 1.0)).reshape(-1),
            step_mean=mean,
            step_scv=variance / mean.clamp_min(1e-30) ** 2,
        )
        return self._predicted(arrays).log_throughput_ratio.reshape(share.shape)

    def _predicted(self, arrays: FlowArrays) -> Prediction:
        if self.network is not None:
            return self.network(arrays)  # type: ignore[no-any-return]
        assert self._prior is not None
        prior = self._prior(arrays).prior
        correction = arrays.step_mean.new_zeros(len(arrays.step_mean), 2)
        law = arrays.step_mean.new_zeros(len(arrays.flow_chain), 3)
        return read_out(arrays, prior, correction, law)

    def _copies(self, count: int, dtype: torch.dtype) -> FlowArrays:
        """Return the parts so many times over."""
        if count not in self._arrays:
            self._arrays[count] = flow_arrays(self._batch.select(np.zeros(count, dtype=np.int64)))
        arrays = self._arrays[count]
        if dtype == arrays.step_demand.dtype:
            return arrays
        real: dict[str, Any] = {
            name: values.to(dtype)
            for name, values in vars(arrays).items()
            if isinstance(values, Tensor) and values.is_floating_point()
        }
        return replace(arrays, **real)


def _classified(chain: Chain) -> list[int]:
    """Return the fragments of a chain that have a classifier."""
    return [n for n, f in enumerate(chain.fragments) if f.exit is not None]


def _with_head(base: Deployment, decided: list[str], open_: tuple[str, int] | None) -> Deployment:
    """Return the deployment with every exit in use and a cost of one classifier alone, or none."""
    chains = []
    exits: dict[str, ExitMix] = {}
    for chain in base.problem.chains:
        fragments = [
            f
            if f.exit is None or (chain.name, n) == open_
            else replace(f, exit=Exit(head=Deterministic(mean=0.0)))
            for n, f in enumerate(chain.fragments)
        ]
        number = len(_classified(chain)) + 1
        if chain.name in decided:
            exits[chain.name] = ExitMix(p=(1.0 / number,) * number, accuracy=(0.0,) * number)
        chains.append(replace(chain, fragments=tuple(fragments), trace=None, contexts=None))
    routing = {
        name: tuple(1.0 / len(paths) for _ in paths) for name, paths in base.placement.items()
    }
    problem = replace(base.problem, chains=tuple(chains), traces=())
    return replace(base, problem=problem, exits=exits, routing=routing)


def _columns(
    parts: Expansion, paths: list[int], names: list[str], predictor: LossPredictor
) -> tuple[np.ndarray, np.ndarray]:
    """Return the column of the path, and of the exit, of every part."""
    first_path = np.cumsum([0, *paths])
    sizes = [int(model.exits) for model in predictor.exits]  # type: ignore[arg-type]
    first_exit = dict(zip(predictor.decided, np.cumsum([0, *sizes]).tolist(), strict=False))
    nobody = sum(sizes)
    path, exit_ = np.zeros(len(parts.chain), np.int64), np.zeros(len(parts.chain), np.int64)
    for chain, name in enumerate(names):
        rows = np.flatnonzero(parts.chain == chain)
        per_path = len(rows) // paths[chain]
        place = np.arange(len(rows))
        path[rows] = first_path[chain] + place // per_path
        exit_[rows] = first_exit[name] + place % per_path if name in first_exit else nobody
    return path, exit_
