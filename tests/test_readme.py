"""What the README shows works: its Python runs, its commands and options exist, its links lead."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from surrogate.folders import shipped_folder
from tests.conftest import REPOSITORY

TEXT = (REPOSITORY / "README.md").read_text(encoding="utf-8")

PROGRAMS = ("datagen", "surrogate")

LIGHTNING = {"fit", "validate", "test", "predict"}
"""Commands whose help is Lightning's: long, and nothing of ours."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def shell_lines() -> list[list[str]]:
    lines = "".join(blocks("sh")).splitlines()
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def commands() -> list[list[str]]:
    return [words for words in shell_lines() if words[0] in PROGRAMS]


def help_of(program: str, command: str) -> str:
    text = io.StringIO()
    with contextlib.redirect_stdout(text), pytest.raises(SystemExit) as stop:
        import_module(f"{program}.__main__").main([command, "--help"])
    assert not stop.value.code
    return text.getvalue()


def test_it_is_short() -> None:
    assert len(TEXT.splitlines()) < 150


def test_the_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    if not shipped_folder("chainnet").is_dir():
        pytest.skip("the released checkpoint chainnet is absent")
    (example,) = blocks("python")
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
    program, command, *rest = words
    assert command in import_module(f"{program}.__main__").COMMANDS
    for file in (word for word in rest if word.endswith(".yaml")):
        assert (REPOSITORY / file).is_file(), file
    options = {word.split("=")[0] for word in rest if word.startswith("--")}
    if command in LIGHTNING:
        assert options == {"--config"}
    else:
        known = set(re.findall(r"--[a-z][a-z-]*", help_of(program, command)))
        assert options <= known, f"{options - known} not in {sorted(known)}"


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
