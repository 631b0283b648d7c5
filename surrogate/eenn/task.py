"""The Lightning task of early-exit networks: all exits learn at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from datagen.errors import require
from surrogate.eenn.network import MultiExitNetwork
from surrogate.training.one_cycle import OneCycleTask

__all__ = ["EarlyExitTask"]


class EarlyExitTask(OneCycleTask):
    """Trains a network with several exits by the weighted sum of their cross entropies.

    Args:
        network: The network.
        exit_weights: Weight of each exit in the loss, >= 0 and not all 0; None for equal ones.
        learning_rate: Peak of the one-cycle schedule, > 0.
        weight_decay: Decoupled weight decay, >= 0.
        warmup_share: Share of the steps in which the rate rises, in (0, 1).
    """

    network: MultiExitNetwork

    def __init__(
        self,
        network: MultiExitNetwork,
        exit_weights: Sequence[float] | None = None,
        learning_rate: float = 1e-2,
        weight_decay: float = 1e-2,
        warmup_share: float = 0.1,
    ) -> None:
        super().__init__(
            network,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_share=warmup_share,
        )
        weights = [1.0] * network.exits if exit_weights is None else list(exit_weights)
        fitting = len(weights) == network.exits and all(0 <= x < float("inf") for x in weights)
        rule = f"hold {network.exits} numbers >= 0, not all 0"
        require(fitting and sum(weights) > 0, "exit_weights", rule, weights)
        self.shares = [weight / sum(weights) for weight in weights]

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
