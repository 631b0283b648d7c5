"""``surrogate optimize npu`` and ``joint``: limits, what is kept, strict JSON and a report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from surrogate.__main__ import main
from surrogate.optimizers import proof, tuning
from tests.report_pages import assert_self_contained, read

HOME = "configs/problems/smart_home.yaml"


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    monkeypatch.chdir(repository)
    monkeypatch.setattr(proof, "VERIFICATION_EVENTS", 6e4)
    monkeypatch.setattr(proof, "SELECTION_EVENTS", 6e4)
    monkeypatch.setattr(tuning, "SCREENING_EVENTS", 5e3)
    monkeypatch.setattr(tuning, "FINALISTS", 3)


def words(kind: str, *extra: str) -> list[str]:
    return ["optimize", kind, HOME, "--evaluator", "simulator", *extra]


def test_npu_answers_with_one_strict_object_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "npu.html"
    limits = ["--loss-target", "0.05", "--min-attainment", "0.5", "--min-accuracy", "0.6"]
    given = words("npu", "--evaluations", "40", "--json", "--report", str(page), *limits)
    assert main(given) == 0
    answer = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert answer["feasible"] is True
    assert answer["evaluations"] == 40
    assert answer["npu"]["hub"]["max_batch"] > 1
    assert answer["start"]["npu"]["hub"]["policy"] == "serial"
    assert answer["objectives"]["verified"]["values"].keys() == {"latency"}
    report = read(page)
    assert_self_contained(report)
    for said in ("max_batch", "serial", "garden", "in time", "Search of batching"):
        assert said in report.words


def test_joint_says_in_words_where_everything_goes(capsys: pytest.CaptureFixture[str]) -> None:
    given = words("joint", "--evaluations", "30", "--objective", "p95", "--keep", "batching")
    assert main(given) == 0
    said = capsys.readouterr().out
    assert "hub              policy serial, max_batch 1" in said
    assert "p95: " in said
    assert "30 candidates in" in said


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--search", "random"), "search must be absent for npu, got search='random'."),
        (("--factor", "2"), "factor must be absent for npu, got factor='2'."),
        (("--keep", "placement"), "keep must name some of batching, variant, thresholds, got"),
        (("--min-attainment", "1.5"), "min_attainment must lie in (0, 1], got"),
        (("--evaluator", "analytic"), "not yet supported by analytic: npu"),
    ],
)
def test_what_is_wrong_is_one_line(
    extra: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words("npu", "--evaluations", "5", *extra)) == 2
    said = capsys.readouterr().err
    assert said.startswith("surrogate optimize: error: ")
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("kind", ["place", "thresholds", "reconfigure"])
def test_limits_of_batching_belong_to_it(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["optimize", kind, HOME, "--evaluator", "analytic", "--keep", "batching"]
    assert main(given) == 2
    assert "keep must be absent" in capsys.readouterr().err
