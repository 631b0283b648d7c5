"""The quickstart's own rules; the whole path is run by ``make quickstart``."""

from __future__ import annotations

from pathlib import Path

import pytest

from datagen.errors import InvalidInputError
from surrogate import quickstart


def test_a_new_folder_is_claimed_and_known_again(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    quickstart._claim(runs)
    (runs / "data").mkdir()
    quickstart._claim(runs)
    assert (runs / quickstart.MARK).is_file()


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InvalidInputError, match="runs must be a new or empty folder"):
        quickstart._claim(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.txt"]


def test_bad_input_is_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--runs", str(tmp_path / "runs"), "--checkpoint", str(tmp_path / "nowhere")]
    assert quickstart.main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("quickstart: error: checkpoint must be")
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()
