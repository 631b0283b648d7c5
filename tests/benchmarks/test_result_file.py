"""Result files say where their figures come from, and never replace one another."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ABOUT = {
    "system": "Linux",
    "architecture": "x86_64",
    "cores": 2,
    "commit": "0123456789ab",
    "clean": True,
    "date": "2026-11-21",
    "versions": {"python": "3.11.7", "numba": "0.68.1"},
}


@pytest.fixture
def result_file() -> ModuleType:
    return import_module("result_file")


def head(result_file: ModuleType, **changes: Any) -> str:
    lines = result_file.head(
        "Speed", ABOUT | changes, configuration="seed 0", command="python x.py", hardware="board"
    )
    return "\n".join(lines)


def test_the_head_names_everything(result_file: ModuleType) -> None:
    assert head(result_file).splitlines() == [
        "# Speed",
        "",
        "- date: 2026-11-21",
        "- commit: 0123456789ab",
        "- machine: board (Linux, x86_64, 2 cores, no accelerator used)",
        "- versions: python 3.11.7, numba 0.68.1",
        "- configuration: seed 0",
        "- command: `python x.py`",
    ]
    assert "2 cores, AMD EPYC, no acc" in head(result_file, processor="AMD EPYC")


@pytest.mark.parametrize(
    ("clean", "said"), [(False, "with uncommitted changes"), (None, "state of the tree unknown")]
)
def test_a_tree_that_is_not_the_commit_is_said(
    result_file: ModuleType, clean: bool | None, said: str
) -> None:
    assert said in head(result_file, clean=clean)
    assert said not in head(result_file)


def test_a_tree_with_changes_is_noticed(
    result_file: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for answer, clean in ((" M file", False), ("", True), (None, None)):
        monkeypatch.setattr(result_file, "_git", lambda *_, answer=answer: answer)
        assert result_file.machine()["clean"] is clean


def test_a_second_file_of_a_month_gets_a_number(result_file: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    names = []
    for text in ("first", "second", "third"):
        path = result_file.write_result(
            folder, "speed", text, date="2026-11-21", hardware="2core-x86-64"
        )
        assert path.read_text() == text
        names.append(path.name)
    assert names == [f"speed_2core-x86-64_202611{end}.md" for end in ("", "_2", "_3")]
    assert (folder / names[0]).read_text() == "first"


def test_a_command_line_can_be_run_again(result_file: ModuleType) -> None:
    line = result_file.command_line("speed", ["--data", "my folder"])
    assert line == "python benchmarks/speed.py --data 'my folder'"


def test_public_data_are_found_by_the_environment_or_an_option(
    result_file: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def folder(*words: str) -> Path:
        parser = result_file.BenchmarkParser("What it is for.")
        parser.add_public_data("chainnet")
        named: Path = parser.given(words).data
        parser.require_public_data(named.is_dir(), named)
        return named

    monkeypatch.setenv("EDGE_SURROGATE_DATA", str(tmp_path))
    (tmp_path / "chainnet").mkdir()
    assert folder() == tmp_path / "chainnet"
    assert folder("--data", str(tmp_path)) == tmp_path
    monkeypatch.setenv("EDGE_SURROGATE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit) as stop:
        folder()
    assert stop.value.code == 2
    assert "data must be a folder (set EDGE_SURROGATE_DATA or --data)" in capsys.readouterr().err


def test_the_example_placement_writes_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = import_module("example_placement")
    monkeypatch.setattr(script, "SEEDS", range(1))
    words = ["--seconds", "0.3", "--out", str(tmp_path), "--json"]
    assert script.main(words) == 0
    report = json.loads(capsys.readouterr().out)
    (file,) = tmp_path.iterdir()
    text = file.read_text()
    assert "- configuration: checkpoint chainnet, 0.3 s a search\n" in text
    assert f"python benchmarks/example_placement.py --seconds 0.3 --out {tmp_path} --json" in text
    assert f"Median verified loss ratio: {100 * report['rows'][0]['verified']:.2f} %." in text


def test_the_public_data_benchmark_fills_its_file(public_data: Path, tmp_path: Path) -> None:
    script = import_module("public_data")
    source = script.shortened(public_data / "chainnet" / "val", tmp_path / "few", 3)
    report = script.measure(source, "chainnet", limit=None, workers=1, horizon=2e3)
    text = script.result_text(report, "python benchmarks/public_data.py", "board")
    assert "- configuration: 3 deployments of ChainNet's validation set; numba engine" in text
    assert "| simulator, throughput ratio |" in text
    assert "(one deployment alone: " in text
