"""The bar of a search shows the share of the budget, and is not in the way."""

from __future__ import annotations

import io
import sys

import pytest

from surrogate.commands import search_bar as bars
from surrogate.commands.search_bar import search_bar, spent
from surrogate.optimizers import Budget
from surrogate.optimizers.archive import Improvement


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
    monkeypatch.setattr(bars, "SLOW", 0.0)
    with search_bar(Budget(evaluations=200), quiet=False) as callback:
        callback(at(100, 1.0))
        callback(at(200, 2.0))
    assert "100%" in shown.getvalue()
    assert "200 candidates, best 0.0125" in shown.getvalue()


@pytest.mark.parametrize("quiet", [True, False])
def test_is_silent_where_nobody_looks(
    quiet: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bars, "SLOW", 0.0)
    if quiet:
        monkeypatch.setattr(sys, "stderr", shown := Terminal())
    with search_bar(Budget(evaluations=200), quiet=quiet) as callback:
        callback(at(100, 1.0))
    assert (shown.getvalue() if quiet else capsys.readouterr().err) == ""
