from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datagen.documents import to_json
from datagen.errors import InvalidInputError
from datagen.evaluation import Measures
from datagen.generate import CampaignLimits, local, run_campaign, simulate_dataset
from datagen.generate.reproduce import reproduce
from datagen.simulator import SimulationOptions
from datagen.store import DatasetWriter, read_dataset, table_of
from tests.datagen.generate.campaigns import CONFIG, SEED, task, writer
from tests.datagen.generate.sources import BadSource


@pytest.mark.parametrize("index", [0, 13, 19])
def test_a_row_is_made_again_bit_for_bit(whole: Path, index: int) -> None:
    found = reproduce(whole, index)
    assert found.different == ()
    assert found.versions == {}
    assert found.deployment == to_json(CONFIG.scenario.sample(index, SEED))
    assert found.measures.chain["offered"].tolist() == (
        read_dataset(whole).measures([index]).chain["offered"].tolist()
    )


def test_a_row_behind_a_failed_one_is_the_right_one(tmp_path: Path) -> None:
    source = BadSource(scenario=CONFIG.scenario, seed=SEED, raising=(4,))
    run_campaign(task(source), writer(tmp_path / "set"), local(1), CampaignLimits())
    assert reproduce(tmp_path / "set", 5).different == ()
    with pytest.raises(InvalidInputError, match="index must be a row of the data set, 0 to 19"):
        reproduce(tmp_path / "set", 4)
    # Labelled again, the gap stays, and so do the random streams of the rows behind it.
    options = SimulationOptions(events=1e3, seed=9)
    again = simulate_dataset(tmp_path / "set", tmp_path / "again", options)
    assert 4 not in again.keys()  # noqa: SIM118 - no mapping
    assert reproduce(tmp_path / "again", 5).different == ()


def test_what_differs_is_named(whole: Path, tmp_path: Path) -> None:
    dataset = read_dataset(whole)
    batch, measures = dataset.batch(), dataset.measures()
    lost = measures.chain["lost"].copy()
    lost[0] += 1
    changed = replace(
        measures, chain=type(measures.chain)("chain", len(lost), {**measures.chain, "lost": lost})
    )
    assert isinstance(changed, Measures)
    target = writer(tmp_path / "set")
    target.versions = {**target.versions, "numpy": "1.0"}
    texts = dataset.documents()
    table = table_of(batch, changed, texts, np.arange(len(texts)))
    for number in target.open(resume=False):
        rows = target.rows_of(number)
        target.write(number, table.slice(rows.start, len(rows)))
    target.close({})
    found = reproduce(tmp_path / "set", 0)
    assert found.different == ("label_chain_lost",)
    assert found.versions["numpy"][0] == "1.0"
    assert reproduce(tmp_path / "set", 1).different == ()


def test_labels_that_were_not_simulated_here_are_refused(whole: Path, tmp_path: Path) -> None:
    dataset = read_dataset(whole)
    target = DatasetWriter(
        folder=tmp_path / "set",
        rows=1,
        rows_per_shard=1,
        identity={"program": "datagen import-chainnet"},
        source="simulation",
    )
    target.open(resume=False)
    target.write(0, dataset.table([0]))
    target.close({})
    with pytest.raises(InvalidInputError, match="path must be written by datagen generate or"):
        reproduce(tmp_path / "set", 0)
