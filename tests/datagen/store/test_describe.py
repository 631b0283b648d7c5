from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datagen.documents import to_json
from datagen.evaluation import Measures, pack
from datagen.generate import CampaignLimits, GenerateConfig, generate, local, run_campaign
from datagen.scenarios import EarlyExitScenario, MixedScenario
from datagen.simulator import SimulationOptions
from datagen.store import Dataset, DatasetWriter, read_dataset, table_of
from datagen.store.describe import describe_dataset, gather
from datagen.store.plots import write_plots
from tests.datagen.generate.campaigns import CONFIG, SEED, task, writer
from tests.datagen.generate.sources import BadSource
from tests.helpers import tandem
from tests.report_pages import assert_self_contained, assert_shown_by_a_browser, read


def test_a_summary_is_of_what_is_there(tmp_path: Path) -> None:
    source = BadSource(scenario=CONFIG.scenario, seed=SEED, raising=(4,))
    run_campaign(task(source), writer(tmp_path), local(1), CampaignLimits())
    dataset = read_dataset(tmp_path)
    report = describe_dataset(dataset)
    chain, batch = dataset.measures().chain, dataset.batch()
    assert report["deployments"] == 19
    assert report["failed"] == [{"index": 4, "error": "ArithmeticError: row 4 is odd"}]
    assert report["sizes"]["chains"]["mean"] == batch.counts("chain").mean()
    assert report["losses"]["chain"]["q50"] == np.median(chain["loss_ratio"])
    assert report["latencies"]["latency"]["n"] == np.isfinite(chain["latency"]).sum()
    assert sum(report["losses"]["chain"]["classes"].values()) == pytest.approx(1.0)
    assert sum(report["loads"]["regimes"].values()) == pytest.approx(1.0)
    assert report["precision"]["offered"]["q0"] == chain["offered"].min()
    error = chain["throughput_ratio_se"] / chain["throughput_ratio"]
    found = report["precision"]["relative_throughput_error"]
    assert found["mean"] == pytest.approx(np.nanmean(error[np.isfinite(error)]))
    assert report["precision"]["unstable"] == 0.0
    assert report["exits"] == {"chains": 0, "histogram": {}}
    assert report["effects"] == {}


@pytest.fixture(scope="module")
def exits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    config = GenerateConfig(
        scenario=EarlyExitScenario(length=(3, 3), chains=(1, 2)),
        simulation=SimulationOptions(events=500),
    )
    return generate(tmp_path_factory.mktemp("exits") / "set", config, num=6)


def test_exits_are_counted_by_their_place(exits: Dataset) -> None:
    report = describe_dataset(exits)["exits"]
    mixes = [mix.p for n in range(6) for mix in (exits[n][0].exits or {}).values()]  # type: ignore[union-attr]
    assert report["chains"] == len(mixes)
    expected = np.mean(mixes, axis=0)
    assert list(report["histogram"]) == ["1", "2", "3"]
    assert list(report["histogram"].values()) == pytest.approx(expected.tolist())


def test_thresholds_are_counted_once_per_exit(tmp_path: Path) -> None:
    scenario = MixedScenario(effects=1.0, chains=(1, 1), length=(3, 3))
    config = GenerateConfig(scenario=scenario, simulation=SimulationOptions(events=500))
    report = describe_dataset(generate(tmp_path / "set", config, num=8))
    assert report["exits"]["chains"] == 8
    assert set(report["exits"]["histogram"]) <= {"1", "2", "3"}
    assert sum(report["exits"]["histogram"].values()) == pytest.approx(1.0)
    assert report["effects"]["exits=thresholds"] > 0


def unlabelled(folder: Path) -> Dataset:
    batch = pack([tandem(0, 1)])
    table = table_of(batch, Measures.of(batch, "measured"), [to_json(tandem(0, 1))], np.arange(1))
    target = DatasetWriter(folder=folder, rows=1, rows_per_shard=1, identity={}, source="measured")
    target.open(resume=False)
    target.write(0, table)
    target.close({})
    return read_dataset(folder)


def test_labels_may_be_missing(tmp_path: Path) -> None:
    report = describe_dataset(unlabelled(tmp_path / "set"))
    assert report["losses"]["chain"]["n"] == 0
    assert report["losses"]["chain"]["classes"]["0"] is None
    assert report["latencies"]["latency"] == {"n": 0}


def test_plots_are_on_one_page_that_needs_no_network(exits: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "plots.html"
    numbers = gather(exits)
    write_plots(path, "A <set>", numbers)
    page = read(path)
    assert_self_contained(page)
    assert len(page.figures) == 11
    assert "A <set>" in page.words
    assert f"6 deployments with {len(numbers['chain_load'])} request chains" in page.words
    regimes, loads, losses, *_ = page.figures.values()
    assert sum(regimes["data"][0]["y"]) == pytest.approx(100.0)
    assert sum(loads["data"][0]["y"]) == len(numbers["device_load"])  # each device is in a bar
    assert losses["data"][0]["x"] == pytest.approx(numbers["chain_load"].tolist())
    figures = page.figures.values()
    (leaving,) = (f for f in figures if f["layout"]["xaxis"]["title"]["text"] == "exit")
    assert sum(leaving["data"][0]["y"]) == pytest.approx(100.0)


def test_a_browser_shows_every_plot(exits: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "plots.html"
    write_plots(path, "A set", gather(exits))
    assert_shown_by_a_browser(path, tmp_path)


def test_what_no_label_tells_is_not_plotted(tmp_path: Path) -> None:
    path = tmp_path / "plots.html"
    write_plots(path, "Measured", gather(unlabelled(tmp_path / "set")))
    page = read(path)
    assert_self_contained(page)
    assert "Mean latency of chains: there is nothing to show." in page.words
