"""The Lightning task of early-exit networks: all exits learn at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional

from datagen.errors import require
from surrogate.eenn.network import MultiExitNetwork

__all__ = ["EarlyExitTask"]


class EarlyExitTask(lightning.LightningModule):
    """Trains a network with several exits by the weighted sum of their cross entropies.

    Args:
        network: The network.
        exit_weights: Weight of each exit in the loss, >= 0 and not all 0; None for equal ones.
        learning_rate: Peak of the one-cycle schedule, > 0.
        weight_decay: Decoupled weight decay, >= 0.
        warmup_share: Share of the steps in which the rate rises, in (0, 1).
    """

    def __init__(
        self,
        network: MultiExitNetwork,
        exit_weights: Sequence[float] | None = None,
        learning_rate: float = 1e-2,
        weight_decay: float = 1e-2,
        warmup_share: float = 0.1,
    ) -> None:
        super().__init__()
        weights = [1.0] * network.exits if exit_weights is None else list(exit_weights)
        fitting = len(weights) == network.exits and all(0 <= x < float("inf") for x in weights)
        rule = f"hold {network.exits} numbers >= 0, not all 0"
        require(fitting and sum(weights) > 0, "exit_weights", rule, weights)
        require(learning_rate > 0, "learning_rate", "be > 0", learning_rate)
        require(weight_decay >= 0, "weight_decay", "be >= 0", weight_decay)
        require(0 < warmup_share < 1, "warmup_share", "lie in (0, 1)", warmup_share)
        self.network = network
        self.shares = [weight / sum(weights) for weight in weights]
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_share = warmup_share

    def training_step(self, batch: Sequence[Tensor], index: int) -> Tensor:
        images, labels = batch
        losses = torch.stack([functional.cross_entropy(x, labels) for x in self.network(images)])
        loss = (losses * losses.new_tensor(self.shares)).sum()
        self.log("train/loss", loss, batch_size=len(images), on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Sequence[Tensor], index: int) -> None:
        self._log_accuracy("val", batch)

    def test_step(self, batch: Sequence[Tensor], index: int) -> None:
        self._log_accuracy("test", batch)

    def predict_step(self, batch: Sequence[Tensor], index: int) -> Tensor:
        """Return the logits of every exit [B, E, C]."""
        return torch.stack(self.network(batch[0]), dim=1)

    def _log_accuracy(self, stage: str, batch: Sequence[Tensor]) -> None:
        images, labels = batch[:2]
        for place, logits in enumerate(self.network(images)):
            right = (logits.argmax(dim=1) == labels).float().mean()
            self.log(f"{stage}/accuracy_{place}", right, batch_size=len(images), sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.learning_rate, total_steps=steps, pct_start=self.warmup_share
        )
        scheduler: dict[str, Any] = {"scheduler": schedule, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}  # type: ignore[return-value]
