"""Rows whose runs were given up are labelled so, and are no damage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from datagen.generate import generate, read_config
from datagen.simulator import SimulationOptions
from datagen.store.validate import validate_dataset

CONFIG = Path(__file__).resolve().parents[3] / "configs" / "datagen" / "type1.yaml"


def test_rows_that_were_given_up_are_valid(tmp_path: Path) -> None:
    short = replace(read_config(CONFIG), simulation=SimulationOptions(events=2e3), rows_per_shard=4)
    dataset = generate(tmp_path / "short", short, num=8, seed=1)
    assert dataset.measures().deployment["truncated"].any()
    validate_dataset(tmp_path / "short")
