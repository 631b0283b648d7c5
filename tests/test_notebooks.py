"""Every notebook runs from top to bottom in smoke size, and is kept without its outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def code(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestEveryNotebook:
    def test_is_kept_without_outputs(self, path: Path) -> None:
        assert read(path)["nbformat"] == 4
        for cell in code(path):
            assert cell["outputs"] == []
            assert cell["execution_count"] is None

    def test_has_one_cell_of_parameters(self, path: Path) -> None:
        tagged = [cell for cell in code(path) if "parameters" in cell["metadata"].get("tags", [])]
        assert len(tagged) == 1
        assert tagged == code(path)[:1]

    def test_runs(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SMOKE_TEST", "1")
        monkeypatch.chdir(path.parent)
        names: dict[str, Any] = {"__name__": "__main__"}
        for number, cell in enumerate(code(path)):
            source = "".join(cell["source"])
            exec(compile(source, f"{path.name}, code cell {number}", "exec"), names)
