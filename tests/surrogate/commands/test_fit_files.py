"""A training configuration is read as strictly as every other YAML file."""

from __future__ import annotations

from pathlib import Path

import pytest

from surrogate.__main__ import main


@pytest.mark.parametrize(
    "content", [b"\x80\x81", b"seed_everything: 1\nseed_everything: 2\n", b"a: !!python/name:os\n"]
)
def test_bad_files_are_one_line_and_status_2(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.yaml"
    file.write_bytes(content)
    assert main(["fit", "--config", str(file)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("surrogate fit: error: ")
    assert error.count("\n") == 1
