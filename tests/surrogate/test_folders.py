"""Checkpoint folders, as far as they are the same for every family of models.

What a damaged folder earns is tested through the families: ``test_checkpoints`` and ``eenn``.
"""

from __future__ import annotations

from pathlib import Path

import torch

from surrogate.folders import best_state, shipped_folder
from tests.surrogate.releases import small_network


def test_shipped_ones_lie_beside_the_package() -> None:
    assert shipped_folder("x").name == "x"
    assert shipped_folder("x").parent.name in {"checkpoints", "checkpoints_data"}


def test_takes_the_network_out_of_a_run(tmp_path: Path) -> None:
    network = small_network()
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    state["loss.weight"] = torch.ones(1)
    torch.save({"state_dict": state}, tmp_path / "run.ckpt")
    found = best_state(tmp_path / "run.ckpt")
    assert found.keys() == network.state_dict().keys()
