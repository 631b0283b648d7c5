"""The dispatcher behind both programs: what it prints, and which status it leaves with."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from datagen import __main__ as datagen_program
from datagen.commands.program import run_program
from surrogate import __main__ as surrogate_program

COMMANDS = {"count": ("a_command_of_this_test", "count the words")}


class WrongInput(Exception):
    """What the command below raises for bad input."""


@pytest.fixture
def words_taken(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The words that the command was called with, call by call."""
    taken: list[list[str]] = []
    module = ModuleType("a_command_of_this_test")

    def main(words: list[str]) -> None:
        taken.append(words)
        if words == ["wrong"]:
            raise WrongInput("words must\nbe right,   got words='wrong'.")
        if words == ["stop"]:
            raise KeyboardInterrupt
        if words == ["bug"]:
            raise ZeroDivisionError

    module.main = main  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_command_of_this_test", module)
    return taken


def test_the_command_gets_the_words_after_it(words_taken: list[list[str]]) -> None:
    assert run_program("program", COMMANDS, ["count", "a", "--b"], errors=(WrongInput,)) == 0
    named = run_program("program", COMMANDS, ["count", "a"], errors=(), named=("count",))
    assert named == 0
    assert words_taken == [["a", "--b"], ["count", "a"]]


@pytest.mark.parametrize(
    ("word", "status", "line"),
    [
        ("wrong", 2, "program count: error: words must be right, got words='wrong'.\n"),
        ("stop", 130, "program count: interrupted\n"),
    ],
)
def test_what_goes_wrong_is_one_line_and_a_status(
    words_taken: list[list[str]],
    capsys: pytest.CaptureFixture[str],
    word: str,
    status: int,
    line: str,
) -> None:
    assert run_program("program", COMMANDS, ["count", word], errors=(WrongInput,)) == status
    assert words_taken == [[word]]
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", line)


def test_a_fault_of_our_own_is_not_hidden(words_taken: list[list[str]]) -> None:
    with pytest.raises(ZeroDivisionError):
        run_program("program", COMMANDS, ["count", "bug"], errors=(WrongInput,))
    assert words_taken == [["bug"]]


@pytest.mark.parametrize("program", [datagen_program, surrogate_program])
def test_both_programs_list_their_commands(
    program: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["-h"]) == 0
    text = capsys.readouterr().out
    for name, (_, summary) in program.COMMANDS.items():
        assert f"  {name} " in text
        assert summary in text
