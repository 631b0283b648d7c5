"""The card of a data set says what is there, and how to make it again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from datagen.__main__ import main
from datagen.generate import CampaignLimits, generate, local, read_config, run_campaign
from datagen.store import Dataset, read_dataset
from datagen.store.card import data_card
from datagen.store.describe import describe_dataset
from tests.datagen.generate.campaigns import CONFIG, SEED, task, writer
from tests.datagen.generate.sources import BadSource


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return generate(tmp_path_factory.mktemp("card") / "small", CONFIG, num=6, seed=SEED)


def test_a_card_is_filled_from_the_data(dataset: Dataset) -> None:
    report = describe_dataset(dataset)
    card = data_card(dataset, report, "small")
    assert card.startswith("# small\n\n6 deployments of neural networks on edge devices, ")
    assert "labelled by simulation, with 95 % intervals." in card
    lost = report["losses"]["chain"]
    row = " | ".join(f"{lost[q]:.4g}" for q in ("q0", "q5", "q50", "q95", "q100"))
    assert f"| loss ratio of a chain | {row} |" in card
    assert "could not be simulated" not in card
    assert "nan" not in card.lower()


def test_the_configuration_on_a_card_makes_the_same_rows(dataset: Dataset, tmp_path: Path) -> None:
    card = data_card(dataset, describe_dataset(dataset), "small")
    (config,) = re.findall(r"^```json\n(.*?)^```", card, re.DOTALL | re.MULTILINE)
    json.loads(config)
    (num, seed) = re.findall(r"--num (\d+) --seed (\d+)", card)[0]
    file = tmp_path / "config.yaml"
    file.write_text(config)
    again = generate(tmp_path / "again", read_config(file), num=int(num), seed=int(seed))
    assert [s.sha256 for s in again.shards] == [s.sha256 for s in dataset.shards]


def test_a_card_owns_up_to_what_failed(tmp_path: Path) -> None:
    source = BadSource(scenario=CONFIG.scenario, seed=SEED, raising=(4,))
    run_campaign(task(source), writer(tmp_path), local(1), CampaignLimits())
    partly = read_dataset(tmp_path)
    card = data_card(partly, describe_dataset(partly), "partly")
    assert "1 more could not be simulated and are left out." in card


def test_the_command_writes_it(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "CARD.md"
    assert main(["describe", str(dataset.path), "--card", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["deployments"] == 6
    assert file.read_text().startswith("# small\n")
    assert main(["describe", str(dataset.path), "--card", str(tmp_path / "no" / "x.md")]) == 2
    assert "card must lie in a folder that exists" in capsys.readouterr().err
