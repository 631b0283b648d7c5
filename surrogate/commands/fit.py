"""``surrogate fit | validate | test | predict``: training through LightningCLI.

The YAML file names classes by import path and gives their arguments; ``--print_config`` shows every
default. A file whose ``model`` and ``data`` give a ``class_path`` chooses the task and the data
too; without one they are those of deployments. Runs are written below ``trainer.default_root_dir``;
after ``fit`` the best weights lie in its folder ``release``, ready to be loaded.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentError
from lightning import LightningDataModule, LightningModule
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn

from datagen.documents import read_yaml
from surrogate.eenn.network import MultiExitNetwork
from surrogate.eenn.release import release_network
from surrogate.errors import ConfigError
from surrogate.exits.few_shot_network import FewShotNet
from surrogate.exits.release import release_few_shot, release_trace
from surrogate.exits.trace_network import TraceNet
from surrogate.models import MODELS
from surrogate.release import release_run
from surrogate.training.data import DeploymentData
from surrogate.training.task import DeploymentTask

__all__ = ["main", "run_classes"]

_log = logging.getLogger(__name__)

RELEASES: dict[type, Callable[[Path, Any, Any, Path], object]] = {
    **dict.fromkeys(MODELS.values(), release_run),
    MultiExitNetwork: release_network,
    TraceNet: release_trace,
    FewShotNet: release_few_shot,
}
"""Class of a trained network -> what makes a checkpoint folder of a run: called with the best
``.ckpt`` file, the network, the data and the folder."""


class _ReleasingCLI(LightningCLI):
    """LightningCLI that logs below the run's folder and releases the best weights in the end."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        settings = self._get(self.config_init, "trainer", default={})
        if settings.get("logger") is None:
            # Lightning's default would need a name per logger and a folder for each.
            root = settings.get("default_root_dir") or "runs"
            kwargs["logger"] = [CSVLogger(root, name="csv"), TensorBoardLogger(root, "tensorboard")]
        return super().instantiate_trainer(**kwargs)

    def after_fit(self) -> None:
        best = getattr(self.trainer.checkpoint_callback, "best_model_path", "")
        network = getattr(self.model, "network", None)
        release = RELEASES.get(type(network))
        finished = self.trainer.state.fn == TrainerFn.FITTING and self.trainer.is_global_zero
        if finished and best and release is not None:
            folder = Path(self.trainer.default_root_dir) / "release"
            release(Path(best), network, self.datamodule, folder)
            _log.info("released %s", folder)


def _config_files(argv: list[str]) -> list[str]:
    """Return the files named by --config and -c."""
    files = [word.split("=", 1)[1] for word in argv if word.startswith(("--config=", "-c="))]
    pairs = zip(argv, argv[1:], strict=False)
    return files + [value for name, value in pairs if name in ("--config", "-c")]


def run_classes(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what tells LightningCLI which task and data to make.

    Args:
        documents: Content of the configuration files.

    Returns:
        Arguments of LightningCLI: classes, and whether the files name subclasses of them.
    """
    named = {
        part: any("class_path" in (document.get(part) or {}) for document in documents)
        for part in ("model", "data")
    }
    return {
        "model_class": LightningModule if named["model"] else DeploymentTask,
        "datamodule_class": LightningDataModule if named["data"] else DeploymentData,
        "subclass_mode_model": named["model"],
        "subclass_mode_data": named["data"],
    }


def main(argv: list[str]) -> None:
    """Run one of Lightning's subcommands.

    Args:
        argv: The arguments of the program, the subcommand first.

    Raises:
        ConfigError: If the arguments or the file do not describe a run.
    """
    # Gathering a batch takes microseconds per deployment: workers would only add copies.
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    # Lightning's own tip; the pins in constraints.txt are deliberate.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    torch.set_float32_matmul_precision("high")
    # Lightning's own reader would take duplicate keys and binary files.
    documents = [read_yaml(file) for file in _config_files(argv)]
    given, sys.argv = sys.argv, ["surrogate", *argv]  # Lightning warns where it is passed arguments
    try:
        _ReleasingCLI(
            **run_classes(documents),
            parser_kwargs={"exit_on_error": False},
            save_config_kwargs={"overwrite": True},
            trainer_defaults={"enable_progress_bar": sys.stderr.isatty()},
        )
    except ArgumentError as error:
        raise ConfigError(" ".join(str(error).split())) from None
    finally:
        sys.argv = given
