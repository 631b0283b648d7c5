"""The frontier judges all on the same chains, and never calls a costlier or worse one a winner."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from datagen.evaluation import DeploymentBatch, Evaluator, Measures
from datagen.generate import simulate_dataset
from datagen.simulator import SimulationOptions
from datagen.store import Dataset, read_dataset
from surrogate.features.arrays import flow_arrays
from surrogate.models import ChainNet
from tests.surrogate.cases import close, random_deployments, write_dataset
from tests.surrogate.releases import release


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """The benchmark sets the threads of the process; they are set back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled data set."""
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", random_deployments(20, seed=7))


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    return read_dataset(folder)


@pytest.fixture
def frontier() -> ModuleType:
    return import_module("surrogate_frontier")


@pytest.fixture
def entries() -> ModuleType:
    return import_module("frontier_entries")


class Oracle(Evaluator):
    """Says what the labels say, but throughput by a factor; keeps a record of its calls."""

    def __init__(self, dataset: Dataset, factor: float, calls: list[float]) -> None:
        self.dataset, self.factor, self.calls = dataset, factor, calls

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        self.calls.append(self.factor)
        chain = dict(self.dataset.measures(batch.key).chain)
        chain["throughput_ratio"] = chain["throughput_ratio"] * self.factor
        chain["loss_ratio"] = 1.0 - chain["throughput_ratio"]
        return Measures.of(batch, "surrogate", chain=chain)


def row(frontier: ModuleType, name: str, ms: float, threads: int, error: float | None) -> Any:
    found: dict[str, Any] = {"name": name, "ms_per_deployment": ms, "threads": threads}
    for target, key in frontier.FIGURES:
        found.setdefault(target, {})[key] = error
    return found


def test_labels_meet_their_own_deployments(
    frontier: ModuleType, entries: ModuleType, dataset: Dataset
) -> None:
    competitors = [
        entries.Entry(name=kind, kind=kind, evaluator=Oracle(dataset, factor, []), threads=1)
        for kind, factor in (("surrogate", 1.0), ("formula", 0.9), ("simulation", 0.8))
    ]
    rows = frontier.rows_of(competitors, dataset, simulated=7, repeats=1)
    for found, mistake in zip(rows, (0.0, 0.1, 0.2), strict=True):
        assert found["deployments"] == 7
        for target, error in (("throughput_ratio", mistake), ("latency_ratio", 0.0)):
            assert found[target]["mape"] == pytest.approx(error, abs=2e-4)
    exact, _, simulated = rows
    assert exact["loss_ratio"]["log2_error"] < 1e-9
    assert exact["whole"]["deployments"] == exact["deployments_timed"] == 20
    assert exact["whole"]["throughput_ratio"]["n"] > exact["throughput_ratio"]["n"]
    assert simulated["whole"] is None
    assert simulated["deployments_timed"] == 7


def test_passes_take_turns(frontier: ModuleType, entries: ModuleType, dataset: Dataset) -> None:
    calls: list[float] = []
    competitors = [
        entries.Entry(name="x", kind="formula", evaluator=Oracle(dataset, x, calls), threads=1)
        for x in (0.1, 0.2)
    ]
    batch = dataset.batch()
    passes = frontier.timed(competitors, [[batch], [batch, batch]], 3)
    assert calls == [0.1, 0.2, 0.2] * 3
    assert [len(own) for own in passes] == [3, 3]
    assert min(map(min, passes)) > 0


def test_only_the_slow_and_inaccurate_are_beaten(frontier: ModuleType) -> None:
    rivals = [
        row(frontier, "short", 1.0, 1, 0.3),
        row(frontier, "middle", 2.0, 1, 0.2),
        row(frontier, "long", 4.0, 1, 0.1),
    ]
    found = frontier.beaten(row(frontier, "x", 0.75, 2, 0.2), rivals)
    assert set(map(tuple, found.values())) == {("middle",)}  # two threads cost 1.5 ms
    mine = row(frontier, "x", 0.5, 2, 0.2)
    mine["latency_ratio"]["p95"] = 0.25
    found = frontier.beaten(mine, rivals)
    assert found["throughput_ratio.mape"] == ["short", "middle"]
    assert found["all"] == found["latency_ratio.p95"] == ["short"]
    mine["loss_ratio"]["log2_error"] = None
    assert "loss_ratio.log2_error" not in frontier.beaten(mine, rivals)
    undefined = row(frontier, "x", 0.5, 1, None)
    assert frontier.beaten(undefined, rivals) == {"all": []}


def test_simulations_meet_other_jobs_than_the_labels(
    frontier: ModuleType, entries: ModuleType, folder: Path, tmp_path: Path
) -> None:
    horizon = 300.0
    (same,) = entries.simulations([horizon], None)
    options: SimulationOptions = same.evaluator.options
    labelled = simulate_dataset(folder, tmp_path / "simulated", options)
    trial = frontier.Trial.of(labelled, len(labelled))
    assert trial.errors(same.evaluator)["throughput_ratio"]["mape"] == 0.0
    (other,) = entries.simulations([horizon], labelled.manifest["seed"])
    assert trial.errors(other.evaluator)["throughput_ratio"]["mape"] > 1e-3


def test_simulations_are_sorted_and_different(entries: ModuleType) -> None:
    made = entries.simulations([1e3, 1e2, 1e3], 4)
    assert [entry.horizon for entry in made] == [1e2, 1e3]
    assert [entry.evaluator.options.horizon for entry in made] == [1e2, 1e3]


def test_the_prior_is_a_network_without_training(entries: ModuleType, dataset: Dataset) -> None:
    batch = dataset.batch()
    with torch.no_grad():
        expected = ChainNet(hidden=4, iterations=1)(flow_arrays(batch))
    found = entries.PriorEvaluator().evaluate(batch)
    for name in ("throughput_ratio", "loss_ratio", "latency", "latency_ratio"):
        close(np.asarray(found.chain[name], dtype=np.float32), getattr(expected, name))


def test_chains_without_latency_are_told() -> None:
    report = import_module("frontier_report")
    assert report.no_latency({"latency_ratio": {"n": 150, "undefined": 50}}) == "25.0 %"


def test_namesakes_are_numbered(entries: ModuleType, tmp_path: Path) -> None:
    folders = [str(release(tmp_path / parent / "net")) for parent in ("a", "b")]
    assert [entry.name for entry in entries.surrogates(folders, 1)] == ["net", "net (2)"]
    named = [folders[0], f"gat={folders[1]}", f"gat={folders[0]}"]
    assert [entry.name for entry in entries.surrogates(named, 1)] == ["net", "gat", "gat (2)"]


def test_the_program_reports_and_writes(
    frontier: ModuleType, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = str(release(tmp_path / "net"))
    out, html = tmp_path / "results", tmp_path / "frontier.html"
    words = [str(folder), "--checkpoint", checkpoint, "--horizons", "200", "100"]
    words += ["--simulated", "5", "--threads", "1", "--hardware", "board"]
    assert frontier.main([*words, "--json", "--out", str(out), "--html", str(html)]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    rows = {found["name"]: found for found in report["rows"]}
    assert list(rows) == [
        "net", "prior", "analytic", "simulation, 100 s", "simulation, 200 s",
    ]  # fmt: skip
    assert report["repeats"] >= 5
    for found in rows.values():
        assert 0 < found["ms_fastest"] <= found["ms_per_deployment"] <= found["ms_slowest"]
        assert {"mape", "mape_trimmed", "median", "p95", "mae"} <= found["throughput_ratio"].keys()
    # The labels are those of the formula, so nothing that costs more can be as good.
    assert rows["analytic"]["beats"]["all"] == ["simulation, 100 s", "simulation, 200 s"]
    assert rows["simulation, 100 s"]["beats"] is None
    file, picture = sorted(out.iterdir())
    assert (picture.stem, picture.suffix) == (file.stem, ".svg")
    drawn = ElementTree.parse(picture).getroot()
    names = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert names.count("net") == names.count("200 s") == 3
    assert file.name.startswith("surrogate_frontier_board_")
    text = file.read_text(encoding="utf-8")
    assert "| analytic | 200 s | 200 s |" in text
    titles = [line.count("|") for line in text.splitlines() if "thr. mape" in line]
    assert titles == [13, 13, 11]
    for part in ("commit:", "machine: board", "configuration: data set tiny", "sha256"):
        assert part in text
    page = html.read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert "net" in page
    assert page.count('data-figure="figure-1"') == 1


def test_the_figure_shows_every_competitor_in_every_panel(frontier: ModuleType) -> None:
    report = import_module("frontier_report")
    rows = [
        row(frontier, name, ms, 1, error) | {"kind": kind, "horizon": horizon}
        for name, kind, horizon, ms, error in (
            ("net", "surrogate", None, 0.05, 0.01),
            ("unknown", "formula", None, 0.02, None),
            ("short", "simulation", 100.0, 1.0, 0.1),
            ("long", "simulation", 1e4, 2.0, 0.02),
        )
    ]
    panels: dict[str, dict[str, tuple[float, float]]] = {}
    for trace in report.frontier_figure(rows).data:
        points = zip(trace.x, trace.y, strict=True)
        panels.setdefault(trace.xaxis, {}).update(zip(trace.text, points, strict=True))
    assert len(panels) == len(report.PANELS)
    for shown in panels.values():  # per cent over milliseconds; what is not defined is not drawn
        assert shown == {"net": (0.05, 1.0), "100 s": (1.0, 10.0), "10000 s": (2.0, 2.0)}


def test_the_picture_has_a_point_where_the_figures_say(frontier: ModuleType) -> None:
    plot = import_module("frontier_plot")
    rows = [
        row(frontier, name, ms, 1, error) | {"kind": kind, "horizon": horizon}
        for name, kind, horizon, ms, error in (
            ("net & co", "surrogate", None, 0.01, 0.01),
            ("unknown", "formula", None, 0.02, None),
            ("long", "simulation", 1e4, 1.0, 0.1),
        )
    ]
    root = ElementTree.fromstring(plot.frontier_svg(rows))
    space = "{http://www.w3.org/2000/svg}"
    words = [text.text for text in root.iter(f"{space}text")]
    assert words.count("net & co") == words.count("10000 s") == 3
    assert "unknown" not in words
    points = [circle for circle in root.iter(f"{space}circle") if float(circle.get("cy")) < 310]
    first, other = points[:2]
    # Two decades across and one up, each with a margin at both ends.
    across = float(other.get("cx")) - float(first.get("cx"))
    up = float(first.get("cy")) - float(other.get("cy"))
    assert across == pytest.approx(plot.PANEL_WIDTH * 2 / (2 + 2 * plot.MARGIN), abs=0.2)
    assert up == pytest.approx(plot.PANEL_HEIGHT / (1 + 2 * plot.MARGIN), abs=0.2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--checkpoint", "no-such"], "checkpoint must be"),
        (["--simulated", "0"], "simulated must be >= 1"),
        (["--threads", "0"], "threads must be >= 1"),
        (["--horizons", "-5"], "horizon must be"),
        (["--boosting", "DATASET"], "boosting must be another data set"),
    ],
)
def test_mistakes_are_said_in_a_line(
    frontier: ModuleType,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    checkpoint = str(release(tmp_path / "net"))
    words = [str(folder) if word == "DATASET" else word for word in words]
    with pytest.raises(SystemExit) as stop:
        frontier.main([str(folder), "--checkpoint", checkpoint, "--repeats", "1", *words])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
