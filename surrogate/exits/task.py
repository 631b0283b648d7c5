"""The Lightning task: loss, optimizer and schedule around any exit predictor."""

from __future__ import annotations

from torch import Tensor, nn

from surrogate.exits.examples import ExitExample
from surrogate.exits.losses import ExitLoss
from surrogate.training.one_cycle import OneCycleTask

__all__ = ["ExitTask"]


class ExitTask(OneCycleTask):
    """Trains an exit predictor.

    Args:
        network: The network, for example ``surrogate.exits.trace_network.TraceNet``.
        loss: The training loss.
        learning_rate: Peak of the one-cycle schedule, > 0.
        weight_decay: Decoupled weight decay, >= 0.
        warmup_share: Share of the steps in which the rate rises, in (0, 1).
    """

    def __init__(
        self,
        network: nn.Module,
        loss: ExitLoss,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-4,
        warmup_share: float = 0.1,
    ) -> None:
        super().__init__(
            network,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_share=warmup_share,
        )
        self.loss = loss

    def setup(self, stage: str) -> None:
        self.trainer.datamodule.prepare(self.network)  # type: ignore[attr-defined]

    def training_step(self, example: ExitExample, index: int) -> Tensor:
        parts: dict[str, Tensor] = self.loss(self.network(*example.inputs), example.truth)
        size = example.vectors
        for name, value in parts.items():
            self.log(f"train/{name}", value, batch_size=size, on_step=False, on_epoch=True)
        return parts["total"]

    def validation_step(self, example: ExitExample, index: int) -> None:
        prediction, truth = self.network(*example.inputs), example.truth
        accuracy = prediction.overall_accuracy - truth.right.sum(-1)
        size = example.vectors
        mix = (prediction.mix - truth.mix).abs().mean()
        self.log("val/mix_mae", mix, batch_size=size, prog_bar=True)
        self.log("val/accuracy_mae", accuracy.abs().mean(), batch_size=size)
