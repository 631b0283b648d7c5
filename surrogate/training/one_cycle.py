"""What all our Lightning tasks share: AdamW under a one-cycle schedule of the learning rate.

Reference:
    Smith and Topin, Super-convergence: Very fast training of neural networks using large learning
    rates, 2019 (the schedule).
"""

from __future__ import annotations

from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn

from datagen.errors import require

__all__ = ["OneCycleTask"]


class OneCycleTask(lightning.LightningModule):
    """Base of tasks; subclasses say what a step is.

    Args:
        network: What is trained.
        learning_rate: Peak of the one-cycle schedule, > 0.
        weight_decay: Decoupled weight decay, >= 0.
        warmup_share: Share of the steps in which the rate rises, in (0, 1).

    Raises:
        InvalidInputError: If a number is out of range.
    """

    def __init__(
        self, network: nn.Module, *, learning_rate: float, weight_decay: float, warmup_share: float
    ) -> None:
        super().__init__()
        require(learning_rate > 0, "learning_rate", "be > 0", learning_rate)
        require(weight_decay >= 0, "weight_decay", "be >= 0", weight_decay)
        require(0 < warmup_share < 1, "warmup_share", "lie in (0, 1)", warmup_share)
        self.network = network
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_share = warmup_share

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
