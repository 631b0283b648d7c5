"""Training runs: repeatable, resumable, and written where they were told to."""

from __future__ import annotations

from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from datagen.errors import InvalidInputError
from surrogate.models import ChainNet
from surrogate.training.data import DeploymentData
from surrogate.training.losses import DeploymentLoss
from surrogate.training.task import DeploymentTask
from tests.surrogate.cases import close


class StopAfter(Callback):
    """Stands for a run that was killed at the end of an epoch.

    Args:
        epochs: Epochs that it finishes.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_epoch_end(self, trainer: lightning.Trainer, task: DeploymentTask) -> None:
        trainer.should_stop = trainer.current_epoch + 1 >= self.epochs


def fit(
    folder: Path, root: Path, *callbacks: Callback, resume: Path | None = None, seed: int = 5
) -> DeploymentTask:
    lightning.seed_everything(seed, verbose=False)
    task = DeploymentTask(ChainNet(hidden=8, iterations=1), DeploymentLoss())
    trainer = lightning.Trainer(
        default_root_dir=root,
        accelerator="cpu",
        max_epochs=4,
        logger=False,
        enable_checkpointing=any(isinstance(item, ModelCheckpoint) for item in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
        gradient_clip_val=1.0,
        log_every_n_steps=1,
    )
    data = DeploymentData([str(folder)], batch_size=16, validation_share=0.2)
    trainer.fit(task, datamodule=data, ckpt_path=resume, weights_only=True)
    return task


def weights(task: DeploymentTask) -> torch.Tensor:
    return torch.cat([value.flatten() for value in task.network.state_dict().values()])


@pytest.fixture
def _quiet() -> None:
    """Lightning speaks of its own tips, of devices and of workers."""
    import logging
    import warnings

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* is not empty")


@pytest.mark.usefixtures("_quiet")
class TestFit:
    def test_the_same_seed_gives_the_same_weights(self, tiny_dataset: Path, tmp_path: Path) -> None:
        first, second = (weights(fit(tiny_dataset, tmp_path)) for _ in range(2))
        assert torch.equal(first, second)
        assert not torch.equal(first, weights(fit(tiny_dataset, tmp_path, seed=6)))

    def test_a_resumed_run_is_an_unbroken_one(self, tiny_dataset: Path, tmp_path: Path) -> None:
        saving = ModelCheckpoint(tmp_path, filename="part", save_last=False)
        fit(tiny_dataset, tmp_path, saving, StopAfter(2))
        again = ModelCheckpoint(tmp_path, filename="rest")
        resumed = weights(fit(tiny_dataset, tmp_path, again, resume=tmp_path / "part.ckpt"))
        assert torch.equal(resumed, weights(fit(tiny_dataset, tmp_path)))

    def test_a_checkpoint_is_plain_data(self, tiny_dataset: Path, tmp_path: Path) -> None:
        task = fit(tiny_dataset, tmp_path, ModelCheckpoint(tmp_path, filename="end"))
        content = torch.load(tmp_path / "end.ckpt", weights_only=True)
        stored = {
            name.removeprefix("network."): value
            for name, value in content["state_dict"].items()
            if name.startswith("network.")
        }
        twin = ChainNet(hidden=8, iterations=1)
        twin.load_state_dict(stored)
        for name, value in task.network.state_dict().items():
            assert torch.equal(twin.state_dict()[name], value), name

    def test_writes_only_below_its_root(
        self, tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here, root = tmp_path / "here", tmp_path / "root"
        here.mkdir()
        monkeypatch.chdir(here)
        fit(tiny_dataset, root, ModelCheckpoint(filename="end"))
        assert list(here.iterdir()) == []
        assert [path.name for path in root.rglob("*.ckpt")] == ["end.ckpt"]

    def test_validation_reports_relative_errors(self, tiny_dataset: Path, tmp_path: Path) -> None:
        task = fit(tiny_dataset, tmp_path)
        metrics = task.trainer.callback_metrics
        parts = [metrics[f"val/{name}_mape"] for name in ("throughput_ratio", "latency_ratio")]
        close(metrics["val/mape"], torch.stack(parts).mean())
        data = task.trainer.datamodule  # type: ignore[attr-defined]
        (example,) = list(data.val_dataloader()[0])
        with torch.no_grad():
            found = task.network.eval()(example.arrays)
        label = example.targets.log_throughput_ratio.exp()
        error = (found.throughput_ratio - label).abs() / (label + 1e-5)
        close(metrics["val/throughput_ratio_mape"], error[label.isfinite()].mean())


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"warmup_share": 1.0}, "warmup_share"),
    ],
)
def test_refuses_settings_by_name(settings: dict[str, float], field: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^{field} must .*, got {field}="):
        DeploymentTask(ChainNet(hidden=8), DeploymentLoss(), **settings)
