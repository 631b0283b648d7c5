"""What the README shows works: its Python and its commands run, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from surrogate.folders import shipped_folder
from tests.conftest import REPOSITORY
from tests.datagen.store.test_chainnet import lay_out
from tests.pages import PROGRAMS, blocks, check_command, run_command
from tests.pages import commands as commands_of

README = REPOSITORY / "README.md"

TEXT = README.read_text(encoding="utf-8")

SHELL = [block for block in blocks(README) if block.language == "sh"]


def shell_lines() -> list[list[str]]:
    lines = "".join(block.text for block in SHELL).splitlines()
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def commands() -> list[list[str]]:
    return [words for block in SHELL for words in commands_of(block)]


def test_it_is_short() -> None:
    assert len(TEXT.splitlines()) < 150


def test_the_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    if not shipped_folder("chainnet").is_dir():
        pytest.skip("the released checkpoint chainnet is absent")
    (example,) = (block.text for block in blocks(README) if block.language == "python")
    assert len(example.splitlines()) <= 15
    exec(compile(example, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert "camera0" in said
    predicted, simulated = map(float, re.findall(r"(?:predicted|simulated) ([0-9.]+)", said))
    assert 0.0 <= predicted <= 1.0
    assert 0.0 <= simulated <= 1.0


def test_every_line_of_shell_is_known() -> None:
    assert {words[0] for words in shell_lines()} == {"make", *PROGRAMS}
    wanted = {"generate", "import-chainnet", "simulate", "compare", "fit", "evaluate", "optimize"}
    assert wanted <= {words[1] for words in commands()}


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_exists_with_its_options(words: list[str]) -> None:
    check_command(words)
    for file in (word for word in words if word.endswith(".yaml")):
        assert (REPOSITORY / file).is_file(), file


def test_the_commands_run_one_after_the_other(desk: Path) -> None:
    """All but the training, whose data take hours; of the public data, two made-up deployments."""
    lay_out(desk / "SRC")
    (desk / "runs").mkdir()
    ran = [words for words in commands() if words[1] != "fit"]
    for words in ran:
        run_command(words)
    assert len(ran) >= 8
    for made in ("runs/chainnet.html", "place.html", "data/public-simulated/manifest.json"):
        assert (desk / made).is_file(), made


def test_make_targets_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = {words[1] for words in shell_lines() if words[0] == "make"}
    assert targets == {"quickstart", "reproduce-chainnet", "test"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_lead_to_files() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert targets
    shipped = shipped_folder("chainnet").is_dir()
    for target in targets:
        released = Path(target).parts[:2] == ("checkpoints", "chainnet")
        assert (REPOSITORY / target).exists() or (released and not shipped), target
