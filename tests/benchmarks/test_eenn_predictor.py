"""The benchmark of exit predictors gives strict figures, a file and a page."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from surrogate.exits.predictor import save_exit_predictor
from tests.surrogate.exits.cases import EXITS, few_shot_net, made_up_trace, trace_net


def test_measures_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = import_module("eenn_predictor")
    monkeypatch.setattr(benchmark, "SPEED_BATCH", 64)
    monkeypatch.setattr(benchmark, "FEW_BATCH", 16)
    made_up_trace(600).save(tmp_path / "known.npz")
    made_up_trace(600, seed=4).save(tmp_path / "held_out.npz")
    save_exit_predictor(tmp_path / "one", trace_net(torch.float32), metrics={}, card="")
    save_exit_predictor(tmp_path / "any", few_shot_net(torch.float32), metrics={}, card="")
    words = ["--calibration", str(tmp_path / "known.npz"), "--test", str(tmp_path / "held_out.npz")]
    words += ["--digits", str(tmp_path / "one"), "--general", str(tmp_path / "any"), "--json"]
    words += ["--vectors", "50", "--networks", "2", "--out", str(tmp_path), "--hardware", "none"]
    benchmark.main([*words, "--html", str(tmp_path / "curves.html")])
    report = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    for name in (
        "exit_mix_mae",
        "exit_mix_mae_independence",
        "exit_mix_mae_empirical_table",
        "exit_mix_noise_floor",
        "accuracy_mae",
        "accuracy_noise_floor",
        "vectors_per_s",
        "direct_count_vectors_per_s",
    ):
        assert report[name] > 0, name
    assert len(report["test_accuracy_by_exit"]) == EXITS
    assert [row["samples"] for row in report["general"]["digits"]] == [25, 50, 100, 400]
    curve = report["cost_curves"][0]
    assert np.all(np.diff(curve["measured_cost"]) >= 0)
    assert curve["measured_cost"][0] == pytest.approx(0.25)
    (file,) = tmp_path.glob("eenn_predictor_none_*.md")
    text = file.read_text()
    assert f"{report['exit_mix_mae']:.5f}" in text
    assert "measured" in (tmp_path / "curves.html").read_text()
