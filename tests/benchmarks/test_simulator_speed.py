"""The benchmark compares simulators that agree, counts events right, and keeps its promises."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import REPOSITORY

RATIOS = {"numba_vs_plain_simpy", "numba_vs_ciw", "simpy_engine_vs_plain_simpy"}


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark, as the script finds it."""
    pytest.importorskip("ciw")
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    return import_module("simulator_speed")


@pytest.mark.parametrize("name", ["single", "tandem", "shared", "type1"])
def test_the_simulators_agree(speed: ModuleType, name: str) -> None:
    deployment = getattr(speed, name)()
    horizon = 4e4 / speed.event_rate(deployment)
    runs = {
        simulator: speed.figures([play(deployment, horizon, seed) for seed in range(2)])
        for simulator, play in speed.PLAYERS.items()
        if simulator != "ciw" or speed.fits_ciw(deployment)
    }
    assert ("ciw" in runs) == (name in {"single", "shared"})
    expected = runs.pop("numba")
    for own in runs.values():
        # Runs of this length differ by a few per cent; a wrong model differs by tens.
        assert own["loss_ratio"] == pytest.approx(expected["loss_ratio"], abs=0.02)
        assert own["latency"] == pytest.approx(expected["latency"], rel=0.12)
        assert own["events"] == pytest.approx(expected["events"], rel=0.05)


def test_the_report_has_the_promised_figures(
    speed: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    sizes = speed.Sizes(numba=1e4, simpy=5e3, plain_simpy=1e3, ciw=1e3)
    monkeypatch.setattr(speed, "SHORT", sizes)
    monkeypatch.setattr(speed, "DEVICE_COUNTS", (3, 6))
    words = ["--short", "--json", "--hardware", "test", "--out", str(tmp_path)]
    assert speed.main(words) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert report.keys() >= RATIOS | {f"{simulator}_events_per_s" for simulator in speed.PLAYERS}
    assert all(report[key] > 0 for key in RATIOS)
    assert report["numba_events_per_s_by_devices"].keys() == {"3", "6"}
    assert report["repeats"] >= 5
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("simulator_speed_test_")
    text = file.read_text(encoding="utf-8")
    for part in ("commit:", "machine:", "configuration:", "command: `python benchmarks/"):
        assert part in text


def test_a_second_result_of_a_month_does_not_replace_the_first(
    speed: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(speed, "SHORT", speed.Sizes(numba=1e4, simpy=1e3, plain_simpy=1e3, ciw=1e3))
    monkeypatch.setattr(speed, "DEVICE_COUNTS", (3,))
    for _ in range(2):
        assert speed.main(["--short", "--hardware", "test", "--out", str(tmp_path)]) == 0
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.slow
def test_the_first_call_of_a_user_compiles_and_the_next_do_not(speed: ModuleType) -> None:
    seconds = speed.first_call()
    assert seconds["cached"] < seconds["fresh"] < 60.0


def test_long_runs_take_no_more_memory(speed: ModuleType) -> None:
    short, long = (speed.peak_memory(jobs) for jobs in (1e3, 3e5))
    assert long < 1.05 * short + 5.0
