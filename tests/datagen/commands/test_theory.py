"""``datagen theory`` prints what it found, and fails where an engine is wrong."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import datagen.theory
from datagen.__main__ import main

CASE = datagen.theory.oracle_cases()[0]


@pytest.fixture
def one_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first case alone."""
    monkeypatch.setattr(datagen.theory, "oracle_cases", lambda: (CASE,))


@pytest.mark.usefixtures("one_case")
def test_rows_have_a_z_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["theory", "--short", "--json"]) == 0
    output = capsys.readouterr()
    report = json.loads(output.out)
    assert output.err == ""
    assert {row["engine"] for row in report["rows"]} == {"numba", "simpy"}
    assert len(report["rows"]) == 2 * len(CASE.exact)
    assert all(abs(row["z"]) <= datagen.theory.Z_MAX for row in report["rows"])
    assert (report["short"], report["failed"]) == (True, 0)


@pytest.mark.usefixtures("one_case")
def test_the_table_has_a_line_per_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["theory", "--short", "--engine", "numba"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(CASE.exact) + 1
    assert "c.loss_ratio" in lines[1]
    assert lines[-1].endswith("agree with theory")


def test_a_wrong_engine_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = replace(CASE, exact=(replace(CASE.exact[0], value=1.05 * CASE.exact[0].value),))
    monkeypatch.setattr(datagen.theory, "oracle_cases", lambda: (wrong,))
    with pytest.raises(SystemExit) as stop:
        main(["theory", "--short", "--engine", "numba"])
    assert stop.value.code == 1
    assert "disagrees" in capsys.readouterr().out


def test_an_unknown_engine_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["theory", "--engine", "ciw"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("datagen theory: error: ")
    assert error.count("\n") == 1
