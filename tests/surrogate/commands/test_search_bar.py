"""The bar of a search shows the share of the budget, and is not in the way."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from datagen.documents import to_yaml
from surrogate.__main__ import main
from surrogate.commands import search_bar
from surrogate.commands.search_bar import searching, spent, stage_bars
from surrogate.optimizers import Budget, proof, reconfiguration, threshold_proof
from surrogate.optimizers.archive import Improvement
from surrogate.optimizers.baselines import least_loaded_start
from surrogate.optimizers.lookup import scaled
from surrogate.optimizers.watch import PROOF, SEARCH
from tests.surrogate.exit_cases import gateway
from tests.surrogate.optimizers.problems import small_problem


class Terminal(io.StringIO):
    """Standard error with somebody in front of it."""

    def isatty(self) -> bool:
        return True


def at(evaluations: int, seconds: float) -> Improvement:
    return Improvement(evaluations=evaluations, seconds=seconds, value=0.0125)


@pytest.mark.parametrize(
    ("budget", "share"),
    [
        (Budget(seconds=10.0), 0.25),
        (Budget(evaluations=200), 0.5),
        (Budget(seconds=10.0, evaluations=200), 0.5),
        (Budget(seconds=2.0, evaluations=200), 1.0),
    ],
)
def test_the_nearest_limit_counts(budget: Budget, share: float) -> None:
    assert spent(budget, at(100, 2.5)) == share


def test_shows_the_share_and_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(search_bar, "SLOW", 0.0)
    budget = Budget(evaluations=200)
    with stage_bars(quiet=False) as bars:
        callback = searching(bars, budget)
        callback(at(100, 1.0))
        callback(at(200, 2.0))
    assert "100%" in shown.getvalue()
    assert "200 candidates, best 0.0125" in shown.getvalue()


def test_every_stage_has_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", shown := Terminal())
    monkeypatch.setattr(search_bar, "SLOW", 0.0)
    with stage_bars(quiet=False) as bars:
        for stage in (SEARCH, PROOF):
            bars(stage, 0.0)
            bars(stage, 0.5)
            bars(stage, 0.25)  # told too late: a bar does not go back
            bars(stage, 1.0)
    lines = [line for line in shown.getvalue().replace("\r", "\n").splitlines() if line.strip()]
    assert [line.split()[0] for line in lines if "100%" in line] == [SEARCH, PROOF]


def test_a_stage_that_is_over_at_once_is_never_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", shown := Terminal())
    monkeypatch.setattr(search_bar, "SLOW", 60.0)
    with stage_bars(quiet=False) as bars:
        bars(PROOF, 1.0)
    assert shown.getvalue() == ""


@pytest.mark.parametrize("quiet", [True, False])
def test_is_silent_where_nobody_looks(
    quiet: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(search_bar, "SLOW", 0.0)
    if quiet:
        monkeypatch.setattr(sys, "stderr", shown := Terminal())
    with stage_bars(quiet=quiet) as bars:
        bars(PROOF, 0.5)
    assert (shown.getvalue() if quiet else capsys.readouterr().err) == ""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Kind of search -> words that ask for it, in smoke size."""
    monkeypatch.setattr(proof, "VERIFICATION_EVENTS", 2e4)
    monkeypatch.setattr(proof, "SELECTION_EVENTS", 1e4)
    monkeypatch.setattr(threshold_proof, "VERIFICATION_EVENTS", 4e4)
    monkeypatch.setattr(threshold_proof, "SELECTION_EVENTS", 2e4)
    monkeypatch.setattr(reconfiguration, "PHASE_REQUESTS", 2e2)
    files = {name: tmp_path / f"{name}.yaml" for name in ("place", "thresholds", "reconfigure")}
    running = scaled(least_loaded_start(small_problem()), 0.8)
    files["place"].write_text(to_yaml(small_problem()))
    files["thresholds"].write_text(to_yaml(gateway()))
    files["reconfigure"].write_text(to_yaml(running))
    more = {
        "place": ["--evaluations", "60"],
        "thresholds": ["--loss-target", "0.05"],
        "reconfigure": ["--evaluations", "600", "--factor", "1.5", "--bandwidth", "1e7"],
    }
    return {
        kind: ["optimize", kind, str(file), "--evaluator", "analytic", *more[kind]]
        for kind, file in files.items()
    }


@pytest.mark.parametrize("kind", ["place", "thresholds", "reconfigure"])
def test_a_person_sees_every_search_and_its_proof(
    kind: str, asked: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_bar, "SLOW", 0.0)
    monkeypatch.setattr(sys, "stderr", shown := Terminal())
    assert main(asked[kind]) == 0
    assert "search " in shown.getvalue()
    assert "proof " in shown.getvalue()
    monkeypatch.setattr(sys, "stderr", shown := Terminal())
    assert main([*asked[kind], "--json"]) == 0
    assert shown.getvalue() == ""
