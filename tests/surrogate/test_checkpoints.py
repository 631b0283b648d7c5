"""Released checkpoints: whole or refused, and data only."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from surrogate import folders
from surrogate.checkpoints import load_release, save_release
from surrogate.errors import CheckpointError
from surrogate.folders import best_state
from surrogate.models import ChainNet
from tests.surrogate.releases import METRICS, release, small_network


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return release(tmp_path / "tiny")


def test_comes_back_as_it_was(folder: Path) -> None:
    found, expected = load_release(folder), small_network()
    assert found.name == "tiny"
    assert found.metrics == METRICS
    assert isinstance(found.network, ChainNet)
    assert found.network.settings == expected.settings
    assert not found.network.training
    assert not any(weights.requires_grad for weights in found.network.parameters())
    for name, value in expected.state_dict().items():
        assert torch.equal(found.network.state_dict()[name], value), name


def test_holds_what_the_design_names(folder: Path) -> None:
    names = {"model.safetensors", "config.json", "metrics.json", "README.md"}
    assert {path.name for path in folder.iterdir()} == names
    config = json.loads((folder / "config.json").read_text())
    weights = (folder / "model.safetensors").read_bytes()
    assert config["sha256"] == hashlib.sha256(weights).hexdigest()
    assert config["model"] == "chainnet"


def test_the_same_release_has_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = release(tmp_path / "again")
    for path in folder.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()


def test_a_shipped_one_is_found_by_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "shipped_folder", lambda name: folder.parent / name)
    assert load_release("tiny").name == "tiny"


Damage = Callable[[Path], None]


def remove(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def write(name: str, content: bytes) -> Damage:
    def apply(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return apply


def cut(name: str) -> Damage:
    def apply(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return apply


def flip(place: float) -> Damage:
    def apply(folder: Path) -> None:
        content = bytearray((folder / "model.safetensors").read_bytes())
        content[int(place * (len(content) - 1))] ^= 1
        (folder / "model.safetensors").write_bytes(content)

    return apply


def say(**values: Any) -> Damage:
    def apply(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | values))

    return apply


def forget(field: str) -> Damage:
    def apply(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        del config[field]
        (folder / "config.json").write_text(json.dumps(config))

    return apply


def other_weights(content: Callable[[bytes], bytes]) -> Damage:
    """Weights that the description vouches for."""

    def apply(folder: Path) -> None:
        weights = content((folder / "model.safetensors").read_bytes())
        (folder / "model.safetensors").write_bytes(weights)
        say(sha256=hashlib.sha256(weights).hexdigest())(folder)

    return apply


def one_tensor_less(weights: bytes) -> bytes:
    return save(dict(list(load(weights).items())[1:]))


BROKEN: dict[str, tuple[Damage, str]] = {
    "no weights": (remove("model.safetensors"), "model.safetensors"),
    "no config": (remove("config.json"), "config.json"),
    "no metrics": (remove("metrics.json"), "metrics.json"),
    "first byte flipped": (flip(0.0), "sha256"),
    "byte in the middle flipped": (flip(0.5), "sha256"),
    "last byte flipped": (flip(1.0), "sha256"),
    "weights cut": (cut("model.safetensors"), "sha256"),
    "config cut": (cut("config.json"), "config.json must be JSON"),
    "metrics cut": (cut("metrics.json"), "metrics.json must be JSON"),
    "config empty": (write("config.json", b""), "config.json must be JSON"),
    "config binary": (write("config.json", b"\xff\xfe\x00"), "config.json must be JSON"),
    "config a list": (write("config.json", b"[]"), "config.json must hold an object"),
    "other schema": (say(schema=99), "schema must be 3, got schema=99"),
    "other features": (say(feature_schema=99), "feature_schema must be .*, got .*=99"),
    "no schema": (forget("schema"), "schema must be 3, got schema=None"),
    "no settings": (forget("settings"), "settings must be present"),
    "no covers": (forget("covers"), "covers must be present"),
    "no intervals": (forget("intervals"), "intervals must be present"),
    "no sha256": (forget("sha256"), "sha256 must be present"),
    "unknown model": (say(model="os.system"), "model must be one of .*chainnet.*os.system"),
    "model of another type": (say(model=[]), "model must be one of"),
    "unknown setting": (say(settings={"hiden": 8}), "hiden"),
    "setting out of range": (say(settings={"hidden": 7}), "hidden must"),
    "setting of another type": (say(settings={"hidden": "8"}), "must match"),
    "settings of another size": (say(settings={"hidden": 16}), "must match"),
    "unknown effect": (say(covers={"effects": ["MAGIC"], "ranges": {}}), "MAGIC"),
    "no ranges": (say(covers={"effects": [], "ranges": {}}), "ranges"),
    "covers of another type": (say(covers=[]), "must match"),
    "no safetensors": (other_weights(lambda _: b"x" * 99), "must match"),
    "a tensor missing": (other_weights(one_tensor_less), "must match"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_refuses_what_is_not_whole(folder: Path, case: str) -> None:
    damage, message = BROKEN[case]
    damage(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_release(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent", "no/such/folder", "../checkpoints/absent"])
def test_refuses_what_is_not_there(name: str) -> None:
    with pytest.raises(CheckpointError, match=name) as caught:
        load_release(name)
    assert "\n" not in str(caught.value)


def test_refuses_a_file(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="must be a folder"):
        load_release(folder / "config.json")


class Trap:
    """Touches a file when it is unpickled.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def test_loading_runs_no_code(folder: Path, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    other_weights(lambda _: pickle.dumps(Trap(sprung)))(folder)
    with pytest.raises(CheckpointError):
        load_release(folder)
    torch.save({"state_dict": {}, "trap": Trap(sprung)}, tmp_path / "run.ckpt")
    with pytest.raises(pickle.UnpicklingError):
        best_state(tmp_path / "run.ckpt")
    assert not sprung.exists()


def test_releases_only_what_can_be_loaded(folder: Path, tmp_path: Path) -> None:
    class Other(nn.Module):
        settings: dict[str, int] = {}

    known = load_release(folder)
    with pytest.raises(CheckpointError, match="got Other"):
        save_release(
            tmp_path / "other", Other(), known.coverage, known.intervals, metrics={}, card=""
        )
    assert not (tmp_path / "other").exists()


def test_metrics_are_strict_json(folder: Path, tmp_path: Path) -> None:
    known = load_release(folder)
    bad = {"mape": float("nan")}
    with pytest.raises(ValueError, match="JSON"):
        save_release(
            tmp_path / "bad",
            small_network(),
            known.coverage,
            known.intervals,
            metrics=bad,
            card="",
        )
    assert not (tmp_path / "bad").exists()
