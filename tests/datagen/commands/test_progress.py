"""Who waits sees how long: bars on a terminal, nothing with --json or where nobody reads."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from datagen.__main__ import main
from datagen.commands import options
from datagen.commands.options import progress_bar
from datagen.documents import to_yaml
from datagen.generate import generate, read_config
from tests.datagen.store.test_chainnet import lay_out
from tests.helpers import tandem

SMALL = """
scenario: {name: type1, chains: [1, 2], length: [2, 3], pool: 4}
simulation: {events: 400.0, replications: 4}
rows_per_shard: 4
"""


class Terminal(io.StringIO):
    """Standard error with somebody in front of it."""

    def isatty(self) -> bool:
        return True


@contextmanager
def terminal(slow: float = 0.0) -> Iterator[Terminal]:
    """A terminal, which sees the bars of whatever takes longer than ``slow`` [s]."""
    shown = Terminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", shown)
        patch.setattr(options, "SLOW", slow)
        yield shown


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set, and the parts of one."""
    root = tmp_path_factory.mktemp("progress")
    config = root / "small.yaml"
    config.write_text(SMALL)
    read = read_config(config)
    generate(root / "whole", read, num=8, seed=1, workers=1)
    for part in (1, 2):
        generate(root / f"part{part}", read, num=8, seed=1, workers=1, part=(part, 2))
    lay_out(root / "public")
    (root / "one.yaml").write_text(to_yaml(tandem(0, 1)))
    (root / "log.csv").write_text("deployment,chain,latency\none.yaml,c,0.5\n")
    return root


COMMANDS = {
    "generate": [
        "generate",
        "{new}",
        "--config",
        "{at}/small.yaml",
        "--num",
        "8",
        "--workers",
        "1",
    ],
    "simulate": ["simulate", "{at}/whole", "{new}", "--events", "400", "--workers", "1"],
    "validate": ["validate", "{at}/whole"],
    "describe": ["describe", "{at}/whole"],
    "compare": ["compare", "{at}/whole", "{at}/whole"],
    "import-chainnet": ["import-chainnet", "{at}/public", "{new}"],
    "import-measured": ["import-measured", "{at}/log.csv", "{new}"],
    "merge": ["merge", "{new}", "{at}/part1", "{at}/part2"],
}

DONE = {
    "import-chainnet": "4/4",  # two deployments, read and written
    "import-measured": "1/1",
    "merge": "2/2",
    "simulate": "8deployment",
}
"""Command -> its last count, where that is not of eight deployments."""


def words(name: str, folder: Path, new: Path) -> list[str]:
    return [word.format(at=folder, new=new) for word in COMMANDS[name]]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_person_sees_how_far_it_is(name: str, folder: Path, tmp_path: Path) -> None:
    with terminal() as seen:
        assert main(words(name, folder, tmp_path / "new")) == 0
    done = DONE.get(name, "8/8")
    assert done in seen.getvalue()


@pytest.mark.parametrize("name", COMMANDS)
def test_json_is_quiet(name: str, folder: Path, tmp_path: Path) -> None:
    with terminal() as seen:
        assert main([*words(name, folder, tmp_path / "new"), "--json"]) == 0
    assert seen.getvalue() == ""


def test_nobody_at_the_terminal_is_told_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "SLOW", 0.0)
    assert main(words("describe", folder, folder)) == 0
    assert capsys.readouterr().err == ""


def test_what_ends_at_once_shows_no_bar() -> None:
    with terminal(slow=60.0) as seen, progress_bar(3, quiet=False) as progress:
        progress(3)
    assert seen.getvalue() == ""
