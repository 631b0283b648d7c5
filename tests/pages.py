"""Markdown pages whose blocks are run: what a block is, and how it is run in smoke size.

A block of ``python`` is executed, all blocks of a page in one namespace; one of ``sh`` holds
commands, which are run in this process. A block whose title is the name of a file is written to it.
A block of ``bash`` holds commands that need more than a test has, a cluster or public data: of them
it is only checked that command and options exist. A title ``FILE, above: LINE`` or ``FILE, below:
LINE`` says where in the sources a block belongs.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

PROGRAMS = ("datagen", "surrogate")

LIGHTNING = [f"surrogate {name}" for name in ("fit", "validate", "test", "predict")]
"""Commands whose help is Lightning's: long, and nothing of ours."""

SMOKE = {"--num": 12.0, "--horizon": 2e3, "--events": 2e4, "--seconds": 0.3}
"""Option -> its largest value in a test."""

SECONDS = re.compile(r"Budget\(seconds=[\d.]+\)")
"""A budget of time in Python, which is cut short like that of a command."""

MORE_WORDS = {
    "datagen generate": ("--workers", "1"),
    "datagen simulate": ("--workers", "1"),
    **dict.fromkeys(
        ("surrogate fit", "surrogate validate"),
        (
            "--trainer.max_epochs=1",
            "--trainer.accelerator=cpu",
            "--trainer.log_every_n_steps=1",
            "--trainer.enable_progress_bar=false",
        ),
    ),
}
"""Words that a command gets behind its own."""

BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\n]*)\")?\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)

INSERTION = re.compile(r"(?P<file>[\w/]+\.py), (?P<side>above|below): (?P<line>.+)")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of a page.

    Args:
        language: Its language.
        title: Its title, or None.
        text: Its content.
        line: Line of its first line in the page, from 1 on.
    """

    language: str
    title: str | None
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            language=found["language"],
            title=found["title"],
            text=found["text"],
            line=2 + text.count("\n", 0, found.start()),
        )
        for found in BLOCK.finditer(text)
    ]


def commands(block: Block) -> list[list[str]]:
    """Return the words of every command of a block of shell, those of our programs only."""
    lines = block.text.replace("\\\n", " ").splitlines()
    split = [shlex.split(line, comments=True) for line in lines]
    return [words for words in split if words and words[0] in PROGRAMS]


def run_command(words: list[str]) -> None:
    """Run a command in this process, in smoke size; it has to end well."""
    program, command, *rest = words
    rest += MORE_WORDS.get(f"{program} {command}", ())
    rest = [word.replace("_precise.yaml", "_short.yaml") for word in rest]
    for option, most in SMOKE.items():
        if option in rest:
            value = rest.index(option) + 1
            rest[value] = f"{min(float(rest[value]), most):g}"
    status = import_module(f"{program}.__main__").main([command, *rest])
    assert status == 0, words


def check_command(words: list[str]) -> None:
    """See that a command and its options exist, and the files of ours that it names."""
    program, command, *rest = words
    assert command in import_module(f"{program}.__main__").COMMANDS, words
    options = {word.split("=")[0] for word in rest if word.startswith("--")}
    if f"{program} {command}" in LIGHTNING:
        assert options <= {"--config", "--ckpt_path", "--print_config"}, words
        return
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit):
        import_module(f"{program}.__main__").main([command, "--help"])
    known = set(re.findall(r"--[a-z][a-z-]*", said.getvalue()))
    assert options <= known, f"{options - known} not in {sorted(known)}"
    named = [word for word in rest if word.startswith(("configs/", "examples/"))]
    assert all((Path(__file__).parent.parent / file).is_file() for file in named), words


def run_page(page: Path) -> None:
    """Run the blocks of a page in order, in the working directory."""
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.title is not None:
            Path(block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            # Blank lines put a traceback on the line of the page.
            text = SECONDS.sub(f"Budget(seconds={SMOKE['--seconds']})", block.text)
            source = "\n" * (block.line - 1) + text
            exec(compile(source, str(page), "exec"), names)
        elif block.language in ("sh", "bash"):
            act = run_command if block.language == "sh" else check_command
            for words in commands(block):
                act(words)


def insert(block: Block, root: Path) -> None:
    """Put a block where its title says that it belongs in the sources."""
    found = INSERTION.fullmatch(block.title or "")
    assert found is not None, block.title
    file = root / found["file"]
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    places = [number for number, line in enumerate(lines) if line.strip() == found["line"]]
    assert len(places) == 1, f"{found['file']}: {found['line']!r} in {len(places)} lines"
    place = places[0]
    apart = "" if block.text.startswith(" ") else "\n\n"  # behind whatever stands at the top level
    lines.insert(place + (found["side"] == "below"), block.text + apart)
    file.write_text("".join(lines), encoding="utf-8")
