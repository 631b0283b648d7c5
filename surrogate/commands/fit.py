"""``surrogate fit | validate | test | predict``: training through LightningCLI.

The YAML file names classes by import path and gives their arguments; ``--print_config`` shows every
default. Runs are written below ``trainer.default_root_dir``; after ``fit`` the best weights lie in
its folder ``release``, ready for :func:`surrogate.load_surrogate`.
"""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentError
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn

from datagen.documents import read_yaml
from surrogate.errors import ConfigError
from surrogate.models import DeploymentNetwork
from surrogate.release import release_run
from surrogate.training.data import DeploymentData
from surrogate.training.task import DeploymentTask

__all__ = ["main"]

_log = logging.getLogger(__name__)


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
        network = self.model.network
        finished = self.trainer.state.fn == TrainerFn.FITTING and self.trainer.is_global_zero
        if finished and best and isinstance(network, DeploymentNetwork):
            folder = Path(self.trainer.default_root_dir) / "release"
            release_run(Path(best), network, self.datamodule, folder)
            _log.info("released %s", folder)


def _config_files(argv: list[str]) -> list[str]:
    """Return the files named by --config and -c."""
    files = [word.split("=", 1)[1] for word in argv if word.startswith(("--config=", "-c="))]
    pairs = zip(argv, argv[1:], strict=False)
    return files + [value for name, value in pairs if name in ("--config", "-c")]


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
    for file in _config_files(argv):
        read_yaml(file)  # Lightning's own reader would take duplicate keys and binary files
    given, sys.argv = sys.argv, ["surrogate", *argv]  # Lightning warns where it is passed arguments
    try:
        _ReleasingCLI(
            DeploymentTask,
            DeploymentData,
            parser_kwargs={"exit_on_error": False},
            save_config_kwargs={"overwrite": True},
            trainer_defaults={"enable_progress_bar": sys.stderr.isatty()},
        )
    except ArgumentError as error:
        raise ConfigError(" ".join(str(error).split())) from None
    finally:
        sys.argv = given
