"""Makes a released model again: runs the commands in the header of its training configuration.

``python -m surrogate.reproduce configs/train/chainnet.yaml`` generates the data sets, which takes
most of the time and may be interrupted and repeated, trains, and leaves the release below the
configuration's folder of runs. The header is the one place that says how much of what is generated.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from datagen.documents import read_yaml
from datagen.errors import DatagenError, require

__all__ = ["commands_of", "main", "smoke"]

PROGRAMS = ("datagen", "surrogate")

SMOKE_ROOT = Path("runs/smoke")
"""Where small trials lie, apart from the real data."""

SMOKE_MOST = {"--num": 16, "--offered": 500}
"""Largest values of a trial's options: deployments of each data set, arrivals in each."""

SMOKE_SETTINGS = ("--trainer.max_epochs=1", "--trainer.log_every_n_steps=1", "--data.batch_size=8")


def commands_of(config: Path) -> list[list[str]]:
    """Return the commands in the comment that a training configuration begins with.

    Args:
        config: A YAML file.

    Returns:
        Words of each command, its program first, in their order.

    Raises:
        InvalidInputError: If there are none.
    """
    require(config.is_file(), "config", "be a file", str(config))
    commands = []
    for line in config.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        words = line.removeprefix("#").split()
        if words and words[0] in PROGRAMS:
            commands.append(shlex.split(line.removeprefix("#")))
    require(len(commands) > 0, "config", "begin with commands in a comment", str(config))
    return commands


def smoke(command: Sequence[str]) -> list[str]:
    """Return a command of the same kind that takes seconds and keeps to a folder of its own.

    Args:
        command: One of :func:`commands_of`.

    Returns:
        Its words.
    """
    if command[0] == "datagen":
        words = [str(SMOKE_ROOT / word) if word.startswith("data/") else word for word in command]
        for option, most in SMOKE_MOST.items():
            if option in words:
                place = words.index(option) + 1
                words[place] = str(min(int(words[place]), most))
        return words
    config = read_yaml(Path(command[command.index("--config") + 1]))
    settings = {
        f"data.{name}": json.dumps([str(SMOKE_ROOT / folder) for folder in config["data"][name]])
        for name in ("train", "validation", "calibration")
    }
    settings["trainer.default_root_dir"] = str(SMOKE_ROOT / config["trainer"]["default_root_dir"])
    start = config["model"]["network"]["init_args"].get("checkpoint")
    if start is not None:
        settings["model.network.init_args.checkpoint"] = str(SMOKE_ROOT / start)
    return [*command, *SMOKE_SETTINGS, *(f"--{name}={value}" for name, value in settings.items())]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the commands one after the other.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status: that of the first command that fails, else 0.
    """
    parser = argparse.ArgumentParser(prog="surrogate.reproduce", description=__doc__)
    parser.add_argument("config", metavar="CONFIG", type=Path, help="training configuration")
    parser.add_argument("--smoke", action="store_true", help="few deployments and one epoch")
    given = parser.parse_args(arguments)
    try:
        commands = commands_of(given.config)
        if given.smoke:
            commands = [smoke(command) for command in commands]
    except DatagenError as error:
        parser.error(str(error))
    for command in commands:
        # What an interrupted run has generated is kept.
        resumed = ["--resume"] if command[:2] == ["datagen", "generate"] else []
        sys.stderr.write(shlex.join(command) + "\n")
        done = subprocess.run([sys.executable, "-m", *command, *resumed], check=False)
        if done.returncode != 0:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
