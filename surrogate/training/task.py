"""The Lightning task: loss, optimizer and schedule around any network that reads flow arrays."""

from __future__ import annotations

import torch
from torch import Tensor

from surrogate.features.arrays import flow_arrays
from surrogate.features.labels import QUANTILES, Example
from surrogate.models import DeploymentNetwork
from surrogate.training.losses import DeploymentLoss
from surrogate.training.one_cycle import OneCycleTask

__all__ = ["DeploymentTask"]

SELECTING = ("throughput_ratio", "latency_ratio")
"""Targets whose mean errors make up ``val/mape``, which the best weights are chosen by."""

FEATURE_SAMPLE = 2048
"""Deployments that the scale of the features is taken from."""

DENOMINATOR_SHIFT = 1e-5
"""Added to the true value in relative errors, as the published metric has it."""


class DeploymentTask(OneCycleTask):
    """Trains a network on labelled deployments.

    Args:
        network: The network, for example ``surrogate.models.ChainNet``.
        loss: The training loss.
        learning_rate: Peak of the one-cycle schedule, > 0.
        weight_decay: Decoupled weight decay, >= 0.
        warmup_share: Share of the steps in which the rate rises, in (0, 1).
    """

    network: DeploymentNetwork

    def __init__(
        self,
        network: DeploymentNetwork,
        loss: DeploymentLoss,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-4,
        warmup_share: float = 0.05,
    ) -> None:
        super().__init__(
            network,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_share=warmup_share,
        )
        self.loss = loss
        self._errors: dict[int, dict[str, list[Tensor]]] = {}

    def on_fit_start(self) -> None:
        # A resumed run and a network that was trained before know the scale of their features.
        scaled = self.network.scaled or self.trainer.ckpt_path is not None
        data = getattr(self.trainer, "datamodule", None)
        if data is not None and not scaled:
            arrays = flow_arrays(data.sample(FEATURE_SAMPLE).batch)
            self.network.fit_features(arrays.to(self.device))

    def training_step(self, example: Example, index: int) -> Tensor:
        parts: dict[str, Tensor] = self.loss(self.network(example.arrays), example.targets)
        for name, value in parts.items():
            self.log(f"train/{name}", value, batch_size=len(example), on_step=False, on_epoch=True)
        return parts["total"]

    def validation_step(self, example: Example, index: int, dataloader_idx: int = 0) -> None:
        prediction, targets = self.network(example.arrays), example.targets
        quantile = prediction.law.log_quantiles.exp().unbind(-1)
        labelled = targets.log_quantile.exp().unbind(-1)
        for name, predicted, label in (
            ("throughput_ratio", prediction.throughput_ratio, targets.log_throughput_ratio.exp()),
            ("latency_ratio", prediction.latency_ratio, targets.log_latency_ratio.exp()),
            *zip(QUANTILES, quantile, labelled, strict=True),
        ):
            error = (predicted - label).abs() / (label + DENOMINATOR_SHIFT)
            known = error[torch.isfinite(error)]
            self._errors.setdefault(dataloader_idx, {}).setdefault(name, []).append(known)

    def on_validation_epoch_end(self) -> None:
        # Over the chains of a whole data set, for Lightning would average batches; then over the
        # data sets, so that none hides behind a larger one.
        means: dict[str, list[Tensor]] = {}
        tails: dict[str, list[Tensor]] = {}
        for index, targets in self._errors.items():
            for name, parts in targets.items():
                errors = torch.cat(parts)
                if len(errors) == 0:  # a target nobody labelled
                    continue
                means.setdefault(name, []).append(errors.mean())
                tails.setdefault(name, []).append(errors.quantile(0.95))
                self.log(f"val/{index}/{name}_mape", errors.mean(), sync_dist=True)
        for name in means:
            self.log(f"val/{name}_mape", torch.stack(means[name]).mean(), sync_dist=True)
            self.log(f"val/{name}_p95", torch.stack(tails[name]).mean(), sync_dist=True)
        judged = [name for name in SELECTING if name in means] or list(means)
        overall = torch.stack([torch.stack(means[name]).mean() for name in judged]).mean()
        self.log("val/mape", overall, sync_dist=True, prog_bar=True)
        self._errors.clear()
