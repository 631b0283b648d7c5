"""A callback that says what each process of a training run saw, and what came of it."""

from __future__ import annotations

import json
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from surrogate.features.labels import Example
from surrogate.training.task import DeploymentTask


class Witness(Callback):
    """Writes ``rows_RANK.json`` and ``weights_RANK.pt`` when the run ends.

    Args:
        folder: Where.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.epochs: list[list[float]] = []

    def on_train_epoch_start(self, trainer: lightning.Trainer, task: DeploymentTask) -> None:
        self.epochs.append([])

    def on_train_batch_start(
        self, trainer: lightning.Trainer, task: DeploymentTask, batch: Example, index: int
    ) -> None:
        self.epochs[-1] += marks(batch)

    def on_fit_end(self, trainer: lightning.Trainer, task: DeploymentTask) -> None:
        rank = trainer.global_rank
        (self.folder / f"rows_{rank}.json").write_text(json.dumps(self.epochs))
        torch.save(task.network.state_dict(), self.folder / f"weights_{rank}.pt")


def marks(example: Example) -> list[float]:
    """A number of each deployment by which it is known again: its busiest flow's rate."""
    arrays = example.arrays
    deployment = arrays.chain_deployment[arrays.flow_chain]
    largest = torch.zeros(arrays.deployments).scatter_reduce(
        0, deployment, arrays.flow_rate, "amax"
    )
    values: list[float] = largest.tolist()
    return values
