"""The commands in the header of a training configuration are what makes the released model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from datagen.documents import read_yaml
from surrogate.reproduce import SMOKE_ROOT, commands_of, main, smoke

SHIPPED = Path("configs/train/chainnet.yaml")


def test_the_shipped_header_makes_all_the_data_that_is_trained_on(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    commands = commands_of(SHIPPED)
    made, fits = commands[:-4], commands[-4:]
    assert [fit[:3] for fit in fits] == [["surrogate", "fit", "--config"]] * 4
    assert fits[0][3] == str(SHIPPED)
    generated = [command for command in made if command[1] == "generate"]
    simulated = [command for command in made if command[1] == "simulate"]
    assert len(generated) + len(simulated) == len(made)
    assert all(Path(command[command.index("--config") + 1]).is_file() for command in generated)
    seeds = [command[command.index("--seed") + 1] for command in generated]
    assert len(set(seeds)) == len(seeds)
    drawn = {command[2] for command in simulated}
    ready = {command[2] for command in generated} - drawn | {command[3] for command in simulated}
    for fit in fits:
        data = read_yaml(Path(fit[3]))["data"]
        named = [*data["train"], *data["validation"], *data["calibration"]]
        assert sorted(named) == sorted(ready)
        unseen = {word for command in simulated for word in command[4:] if word.startswith("data/")}
        assert unseen == set(data["train"])


def test_a_trial_is_small_and_apart() -> None:
    command = "datagen generate data/x --config c.yaml --num 4096 --seed 9"
    small = f"datagen generate {SMOKE_ROOT}/data/x --config c.yaml --num 16 --seed 9"
    assert " ".join(smoke(command.split())) == small
    command = "datagen simulate data/x data/y --unseen-by data/z --offered 250000 --seed 9"
    small = (
        f"datagen simulate {SMOKE_ROOT}/data/x {SMOKE_ROOT}/data/y "
        f"--unseen-by {SMOKE_ROOT}/data/z --offered 500 --seed 9"
    )
    assert " ".join(smoke(command.split())) == small


def test_a_trial_goes_on_from_its_own_first_half(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    words = smoke(commands_of(SHIPPED)[-1])
    start = SMOKE_ROOT / "runs" / "chainnet_companions" / "release"
    assert f"--model.network.init_args.checkpoint={start}" in words


def test_commands_run_in_order_until_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(
        "# Says what it does.\n#\n#   datagen generate data/x --num 3\n"
        "#   surrogate evaluate 'a b'\n"
        "#   surrogate fit\nseed: 1\n# datagen describe\n"
    )
    seen: list[list[str]] = []

    def run(words: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        seen.append(words)
        return subprocess.CompletedProcess(words, returncode=0 if "datagen" in words else 3)

    monkeypatch.setattr(subprocess, "run", run)
    assert main([str(config)]) == 3
    python = [sys.executable, "-m"]
    assert seen == [
        [*python, "datagen", "generate", "data/x", "--num", "3", "--resume"],
        [*python, "surrogate", "evaluate", "a b"],
    ]


@pytest.mark.parametrize("text", ["seed: 1\n# datagen generate x\n", "# nothing to run\n"])
def test_a_file_without_commands_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(text)
    with pytest.raises(SystemExit, match="2"):
        main([str(config)])
    assert "config must begin with commands in a comment" in capsys.readouterr().err


@pytest.mark.slow
def test_a_trial_ends_with_a_release(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(repository))
    (tmp_path / "configs").symlink_to(repository / "configs")
    assert main([str(SHIPPED), "--smoke"]) == 0
    assert (
        tmp_path / SMOKE_ROOT / "runs" / "chainnet_companions" / "release" / "model.safetensors"
    ).is_file()
