"""``surrogate evaluate``: strict JSON with the names of the contract, and one line of refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datagen.evaluation import Effect
from datagen.store import read_dataset
from datagen.store.compare import LOAD_REGIMES, compare_measures
from surrogate import load_surrogate
from surrogate.__main__ import main
from surrogate.commands import evaluate
from tests.datagen.commands.test_progress import terminal
from tests.surrogate.cases import single, write_dataset
from tests.surrogate.releases import release

RATIO_KEYS = {"mape", "mape_trimmed", "median", "p95", "p99", "mae", "n", "undefined"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release(tmp_path_factory.mktemp("released") / "tiny")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "PASSES", 2)
    monkeypatch.setattr(evaluate, "SINGLES", 5)
    monkeypatch.setattr(evaluate, "THREADS", 1)


def answer(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["evaluate", *words, "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    return document


def test_json_has_the_names_of_the_contract(
    checkpoint: Path, tiny_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer([str(checkpoint), str(tiny_dataset)], capsys)
    for name in ("throughput_ratio", "latency_ratio"):
        assert set(found[name]) >= RATIO_KEYS
    assert set(found["loss_ratio"]) >= {"mae", "log2_error", "log2_error_by_decade"}
    assert set(found["by_load"]) == set(LOAD_REGIMES)
    for regime in found["by_load"].values():
        assert set(regime["throughput_ratio"]) >= RATIO_KEYS
    assert "coverage" in found
    assert found["ms_per_deployment"] > 0
    assert found["ms_single"] > 0
    assert found["deployments"] == 60
    assert 0 <= found["in_distribution"] <= 1


def test_errors_are_those_of_the_predictions(
    checkpoint: Path, tiny_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer([str(checkpoint), str(tiny_dataset)], capsys)
    dataset = read_dataset(tiny_dataset)
    batch = dataset.batch(laws=False)
    measures = load_surrogate(checkpoint).evaluate(batch)
    expected = compare_measures(batch, measures, dataset.measures())
    for name in ("throughput_ratio", "latency_ratio", "loss_ratio"):
        assert found[name]["mae"] == pytest.approx(expected[name]["mae"], rel=1e-4)
        assert found[name]["n"] == expected[name]["n"]


def test_without_json_prints_a_table(
    checkpoint: Path, tiny_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(checkpoint), str(tiny_dataset)]) == 0
    text = capsys.readouterr().out
    assert "throughput_ratio" in text
    assert "ms per deployment" in text


@pytest.mark.parametrize(
    "words", [["absent", "{data}"], ["{checkpoint}", "absent"], ["{data}", "{data}"]]
)
def test_names_what_is_wrong(
    words: list[str],
    checkpoint: Path,
    tiny_dataset: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [word.format(data=tiny_dataset, checkpoint=checkpoint) for word in words]
    assert main(["evaluate", *given]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("surrogate evaluate: error: ")
    assert len(captured.err.splitlines()) == 1


def test_counts_what_has_no_steady_state_as_undefined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = release(tmp_path / "tiny", also=Effect.UNLIMITED_BUFFER)
    data = write_dataset(
        tmp_path / "data", [single(capacity=None), single(rate=2.5, capacity=None)]
    )
    found = answer([str(folder), str(data)], capsys)
    assert found["throughput_ratio"]["n"] == 1
    assert found["throughput_ratio"]["undefined"] == 1


def test_a_report_is_written_beside_the_figures(
    checkpoint: Path, tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    found = answer([str(checkpoint), str(tiny_dataset), "--report", str(page)], capsys)
    assert f"{found['ms_single']:.2f} ms" in page.read_text(encoding="utf-8")


def test_a_report_in_no_folder_is_refused_before_the_work(
    checkpoint: Path,
    tiny_dataset: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(evaluate, "judge", lambda *_: pytest.fail("the work was begun"))
    given = ["evaluate", str(checkpoint), str(tiny_dataset), "--report", "no/where.html"]
    assert main(given) == 2
    assert "report must lie in a folder that exists" in capsys.readouterr().err


def test_a_report_that_fails_in_the_end_costs_no_figures(
    checkpoint: Path,
    tiny_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("surrogate.report.page.Page.html", full_disk)
    target = ["--report", str(tmp_path / "report.html"), "--json"]
    assert main(["evaluate", str(checkpoint), str(tiny_dataset), *target]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["deployments"] == 60
    assert "report must be a file that can be written" in captured.err


def test_the_bar_ends_where_the_work_does(checkpoint: Path, tiny_dataset: Path) -> None:
    told: list[tuple[int, int]] = []
    evaluate.judge(
        str(checkpoint), str(tiny_dataset), progress=lambda made, of: told.append((made, of))
    )
    assert len(told) == 1 + evaluate.WARM_UPS + evaluate.PASSES + evaluate.SINGLES
    assert {of for _, of in told} == {sum(made for made, _ in told)}


def test_a_person_sees_how_far_it_is_and_json_is_quiet(
    checkpoint: Path, tiny_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(checkpoint), str(tiny_dataset)]
    work = evaluate.predictions(60)
    with terminal() as seen:
        assert main(words) == 0
    assert f"{work}/{work}" in seen.getvalue()
    with terminal() as seen:
        assert main([*words, "--json"]) == 0
    assert seen.getvalue() == ""
    capsys.readouterr()
