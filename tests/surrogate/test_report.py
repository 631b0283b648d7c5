"""Reports hold every figure they promise, fetch nothing, and are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic
from datagen.errors import InvalidInputError
from datagen.evaluation import DeploymentBatch, Measures, pack
from datagen.store.compare import compare_measures
from surrogate.optimizers.archive import Improvement
from surrogate.optimizers.objective import shown_as
from surrogate.optimizers.result import FrontPoint, Outcome, SearchResult, Valued, Violation
from surrogate.report import (
    Judged,
    evaluation_report,
    front_figure,
    placement_report,
    progress_figure,
    quickstart_report,
)
from surrogate.report.target import require_target
from tests.report_pages import assert_self_contained, assert_shown_by_a_browser, read
from tests.surrogate.cases import made_up_labels, random_deployments


@pytest.fixture(scope="module")
def batch() -> DeploymentBatch:
    return pack(random_deployments(30))


@pytest.fixture(scope="module")
def judged(batch: DeploymentBatch) -> Judged:
    labels = made_up_labels(batch)
    wrong = {
        name: np.clip(labels.chain[name] * 1.02, 0.0, 1.0)
        for name in ("throughput_ratio", "latency_ratio", "loss_ratio")
    }
    measures = Measures.of(batch, "surrogate", chain=wrong)
    result = compare_measures(batch, measures, labels)
    result |= {"ms_per_deployment": 0.1234, "ms_single": 5.0, "in_distribution": 1.0}
    return Judged(name="small", batch=batch, measures=measures, labels=labels, result=result)


def outcome(loss: float, source: str, chains: list[str], devices: list[str]) -> Outcome:
    return Outcome(
        source=source,
        loss_ratio=loss,
        ci95=(0.9 * loss, 1.1 * loss) if source == "simulation" else None,
        chains={name: {"loss_ratio": loss, "throughput": 1.0, "latency": 0.4} for name in chains},
        devices={name: {"utilization": 0.5, "loss_ratio": loss / 2} for name in devices},
    )


def searched(
    *,
    chains: int = 2,
    devices: int = 3,
    proved: bool = True,
    objectives: tuple[str, ...] = ("loss_ratio",),
) -> SearchResult:
    names = [f"chain <{n}>" for n in range(chains)]
    hosts = [f"board {n}" for n in range(devices)]
    fragments = tuple(Fragment(name=f"f{k}", service=Deterministic(mean=0.1)) for k in range(3))
    problem = Problem(
        devices=tuple(Device(name=name, capacity=5, memory=1e6) for name in hosts),
        chains=tuple(
            Chain(name=name, arrivals=Poisson(rate=1.0), fragments=fragments) for name in names
        ),
    )
    start, chosen = (
        Deployment(
            problem=problem,
            placement={
                name: (tuple(hosts[(shift + n + k) % devices] for k in range(3)),)
                for n, name in enumerate(names)
            },
        )
        for shift in (0, 1)
    )
    simulated = [outcome(loss, "simulation", names, hosts) for loss in (0.2, 0.04)]

    def valued(source: str, share: float) -> Valued:
        values = (share, 1.0 - share, -share)
        return Valued(source=source, values=dict(zip(objectives, values, strict=False)))

    return SearchResult(
        deployment=chosen,
        start_deployment=start,
        predicted=outcome(0.05, "surrogate", names, []),
        start=simulated[0] if proved else Outcome.unknown(),
        verified=simulated[1] if proved else Outcome.unknown(),
        evaluations=1234,
        seconds=3.0,
        seconds_total=5.0,
        status="time_limit",
        violations=(Violation(device=hosts[0], needed=2e6, memory=1e6),) if not proved else (),
        history=(
            Improvement(evaluations=32, seconds=0.1, value=1e12),
            Improvement(evaluations=64, seconds=0.2, value=0.21),
            Improvement(evaluations=640, seconds=1.2, value=0.05),
        ),
        seed=0,
        objectives={"predicted": valued("surrogate", 0.1)}
        | {
            who: valued("simulation", share)
            for who, share in (("start", 0.8), ("verified", 0.2))
            if proved
        },
        front=tuple(
            FrontPoint(
                deployment=chosen,
                predicted=valued("surrogate", share),
                verified=valued("simulation", share + 0.05) if share < 0.5 else None,
            )
            for share in (0.1, 0.4, 0.6) * (len(objectives) > 1)
        ),
    )


def test_evaluation_report(judged: Judged, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "report.html"
    evaluation_report(judged, path)
    report = read(path)
    assert_self_contained(report)
    assert len(report.figures) == 3
    parity, _, boxes = report.figures.values()
    regimes = {trace["name"] for trace in parity["data"] if trace["mode"] == "markers"}
    assert len(regimes) == 5
    assert [trace["type"] for trace in boxes["data"]] == ["box", "box"]
    for trace in boxes["data"]:  # predictions are 2 % off wherever they are not clipped to 1
        assert set(trace["x"]) <= regimes
        assert trace["median"][-1] == pytest.approx(2.0, rel=0.01)
        assert max(trace["upperfence"]) <= 2.0
    for said in ("0.123 ms", "5.00 ms", "throughput ratio", "latency ratio", "load ≥ 1.5"):
        assert said in report.words


def test_no_defined_label_at_all(batch: DeploymentBatch, judged: Judged, tmp_path: Path) -> None:
    unknown = Measures.of(batch, "measured")
    result = compare_measures(batch, judged.measures, unknown)
    result |= {"ms_per_deployment": 0.1, "ms_single": 5.0, "in_distribution": 1.0}
    path = tmp_path / "report.html"
    nothing = Judged(
        name="small", batch=batch, measures=judged.measures, labels=unknown, result=result
    )
    evaluation_report(nothing, path)
    assert_self_contained(read(path))


@pytest.mark.parametrize(("chains", "devices"), [(2, 3), (1, 1), (20, 30)])
def test_placement_report(chains: int, devices: int, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    placement_report(searched(chains=chains, devices=devices), path)
    report = read(path)
    assert_self_contained(report)
    assert len(report.figures) == 3
    graph = report.figures["figure-1"]
    assert len(graph["data"]) == 2 * (chains + 2)
    colours = {
        axis: [t["marker"]["color"] for t in graph["data"] if t["marker"].get("coloraxis") == axis]
        for axis in ("coloraxis", "coloraxis2")
    }
    assert colours["coloraxis"] == [[50.0] * devices] * 2  # how busy
    assert colours["coloraxis2"] == [[10.0] * devices, [2.0] * devices]  # what is lost there
    assert graph["layout"]["coloraxis2"]["cmax"] == 10.0  # one scale for both panels
    notes = [note["text"] for note in graph["layout"]["annotations"]]
    assert sum("20.00 % lost" in note for note in notes) == 1 + chains
    assert sum("4.00 % lost" in note for note in notes) == 1 + chains
    bars = report.figures["figure-2"]["data"]
    assert [bar["name"] for bar in bars] == ["before", "after"]
    assert [bar["y"] for bar in bars] == [[50.0] * devices] * 2
    for said in ("[18.000 %, 22.000 %]", "5.000 %", "4.000 %", "1,234", "chain <0>"):
        assert said in report.words


@pytest.mark.parametrize("objectives", [("loss_ratio", "latency"), ("loss_ratio", "x", "energy")])
def test_a_front_is_shown_with_the_chosen_point(
    objectives: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    placement_report(searched(objectives=objectives), path)
    report = read(path)
    assert_self_contained(report)
    assert len(report.figures) == 4
    figure = report.figures["figure-3"]
    panels = len(objectives) * (len(objectives) - 1) // 2
    named = [trace.get("name") for trace in figure["data"]]
    assert named == [
        None, "predicted", "verified by simulation", "start, simulated", "chosen, verified",
    ] * panels  # fmt: skip
    lines, predicted, verified, start, chosen = figure["data"][:5]
    assert predicted["x"] == pytest.approx([10.0, 40.0, 60.0])  # losses in percent
    assert verified["x"] == pytest.approx([15.0, 45.0])  # of the third, nothing was proved
    assert verified["y"] == pytest.approx([0.85, 0.55])
    assert lines["x"] == pytest.approx([10.0, 15.0, None, 40.0, 45.0, None])
    assert (start["x"], chosen["x"]) == ([pytest.approx(80.0)], [pytest.approx(20.0)])
    assert [trace["showlegend"] for trace in figure["data"][:5]] == [False, True, True, True, True]
    assert figure["layout"]["xaxis"]["title"]["text"] == "loss ratio [%]"


def test_a_start_far_from_the_front_does_not_squeeze_it() -> None:
    layout = front_figure(searched(objectives=("loss_ratio", "latency"))).layout
    low, high = layout.xaxis.range
    assert low < 10.0 < 60.0 < high < 80.0  # the start loses 80 %
    (note,) = layout.annotations
    assert note.text == "start: 80, 0.2"
    assert note.x == pytest.approx(high)
    assert (note.ax < 0, note.ay < 0) == (True, True)  # it lies to the right, and below


def test_points_of_a_front_tell_their_placement() -> None:
    figure = front_figure(searched(objectives=("loss_ratio", "latency")))
    assert figure.data[1].text[0].startswith("chain <0>: board 1 → board 2 → board 0<br>chain <1>")


@pytest.mark.parametrize(
    ("objective", "title", "values"),
    [
        ("loss_ratio", "loss ratio [%]", [21.0, 5.0, 5.0]),
        ("latency", "mean latency [s]", [0.21, 0.05, 0.05]),
        ("throughput", "throughput of all chains [1/s]", [-0.21, -0.05, -0.05]),
    ],
)
def test_the_progress_is_that_of_the_objective(
    objective: str, title: str, values: list[float]
) -> None:
    figure = progress_figure(searched(objectives=(objective,)))
    assert figure.layout.yaxis.title.text == title
    assert list(figure.data[0].y) == pytest.approx(values)
    _, factor = shown_as(objective)
    levels = {trace.name: trace.y[0] for trace in figure.data[1:]}
    assert levels["start, simulated"] == pytest.approx(0.8 * factor)
    assert levels["chosen, verified by simulation"] == pytest.approx(0.2 * factor)


def test_a_search_for_energy_says_so(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    placement_report(searched(objectives=("energy",)), path)
    words = read(path).words
    assert "so that requests take as little energy as possible?" in words
    assert "energy per completed job [J]" in words
    assert "20.00 % of the requests are lost at the start, and 4.00 %" in words


def test_throughput_grows_to_the_right(tmp_path: Path) -> None:
    """It is minimised with its sign changed, which no reader should meet."""
    figure = front_figure(searched(objectives=("throughput", "latency")))
    assert list(figure.data[1].x) == pytest.approx([-0.1, -0.4, -0.6])


@pytest.mark.parametrize("kind", ["evaluation", "placement"])
def test_a_browser_shows_every_figure(kind: str, judged: Judged, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    if kind == "evaluation":
        evaluation_report(judged, path)
    else:
        placement_report(searched(objectives=("loss_ratio", "latency")), path)
    assert_shown_by_a_browser(path, tmp_path)


def test_an_unproved_misfit_is_reported_as_such(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    placement_report(searched(proved=False), path)
    report = read(path)
    assert_self_contained(report)
    assert "board 0 needs 2e+06 bytes" in report.words
    assert report.figures["figure-2"]["data"][1]["y"] == [None] * 3  # nobody simulated it


def test_quickstart_report(judged: Judged, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    quickstart_report([judged, judged], searched(), path)
    report = read(path)
    assert_self_contained(report)
    assert len(report.figures) == 6


def test_a_report_replaces_the_old_one_or_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def broken(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("surrogate.report.page.Page.html", broken)
        with pytest.raises(KeyboardInterrupt):
            placement_report(searched(), path)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    assert path.read_text() == "old"
    placement_report(searched(), path)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    assert path.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("nowhere/report.html", "lie in a folder that exists"),
        ("folder", "be a file, not a folder"),
        ("x" * 252 + ".html", "be a file that can be written"),
        ("file/report.html", "lie in a folder that exists"),
    ],
)
def test_a_target_that_no_report_could_be_written_to_is_refused(
    name: str, rule: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InvalidInputError, match=f"report must {rule}"):
        require_target(tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_proper_target_is_left_as_it_is(tmp_path: Path) -> None:
    old = tmp_path / "old.html"
    old.write_text("old")
    require_target(old)
    require_target(tmp_path / "new.html")
    assert [file.name for file in tmp_path.iterdir()] == ["old.html"]
    assert old.read_text() == "old"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="report must be a file that can be written"):
        placement_report(searched(), tmp_path / "file" / "report.html")
