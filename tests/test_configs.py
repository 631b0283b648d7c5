"""Every YAML file that is shipped describes something that can be made."""

from __future__ import annotations

from pathlib import Path

import pytest

from datagen.documents import read_problem
from datagen.generate import read_config
from tests.conftest import REPOSITORY

MONITORS = {
    "eenn_network": None,
    "eenn_digits": "val/mix_mae",
    "eenn_general": "val/mix_mae",
    "contention": "val/latency_ratio_mape",
    "contention_losses": "val/throughput_ratio_p95",
}
"""What chooses the weights, where it is not the error of deployments: nothing where that could only
be the images of a later judgement, and latencies or quantiles where throughputs may be next to
nothing."""

GO_ON_FROM_SHIPPED = {
    "chainnet_refined": ("--model.network.init_args.checkpoint=chainnet",),
    "chainnet_spaced": ("--model.network.init_args.checkpoint=early-exit",),
    "chainnet_companions": ("--model.network.init_args.checkpoint=early-exit",),
    "contention_losses": ("--model.network.init_args.checkpoint=contention",),
}
"""Words that give a second half of a training the shipped network instead of the first half's."""


def files(folder: str) -> list[Path]:
    return sorted((REPOSITORY / folder).glob("*.yaml"))


def name(path: Path) -> str:
    return path.name


def test_every_shipped_file_is_covered() -> None:
    covered = {path for folder in ("datagen", "train") for path in files(f"configs/{folder}")}
    covered |= set(files("configs/problems"))
    assert set((REPOSITORY / "configs").rglob("*.y*ml")) == covered
    assert set((REPOSITORY / "examples").rglob("*.y*ml")) == set(files("examples"))
    assert len(covered) >= 5
    assert files("examples")


@pytest.mark.parametrize("path", files("configs/datagen"), ids=name)
def test_a_generation_can_be_drawn_from(path: Path) -> None:
    config = read_config(path)
    assert config.scenario.sample(0, 0).problem.chains


@pytest.mark.parametrize("path", files("configs/train"), ids=name)
def test_a_training_is_instantiated(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lightning.pytorch.cli import LightningCLI

    from datagen.documents import read_yaml
    from surrogate.commands.fit import RELEASES, run_classes

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["surrogate"])  # Lightning warns of words besides its own
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)  # what seed_everything sets is taken back
    cli = LightningCLI(
        **run_classes([read_yaml(path)]),
        args=["--config", str(path), *GO_ON_FROM_SHIPPED.get(path.stem, ())],
        run=False,
        save_config_callback=None,
        parser_kwargs={"exit_on_error": False},
    )
    assert cli.model.network.settings
    assert type(cli.model.network) in RELEASES
    assert Path(cli.trainer.default_root_dir).parts[0] == "runs"
    assert cli.trainer.checkpoint_callback is not None
    assert cli.trainer.checkpoint_callback.monitor == MONITORS.get(path.stem, "val/mape")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", files("examples") + files("configs/problems"), ids=name)
def test_an_example_is_a_problem(path: Path) -> None:
    problem, start = read_problem(path)
    assert problem.chains
    assert start is None or start.problem == problem
