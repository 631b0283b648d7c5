"""Dated result files: on what machine, at which commit and how figures were measured.

A file is never written over: a second one in the same month gets a number, ``..._202611_2.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import chain, count
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent

PACKAGES = ("edge-surrogate", "numba", "numpy", "torch")


def cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def hardware_class() -> str:
    """Return the class of this machine as file names have it, for example ``2core-x86-64``."""
    return f"{cores()}core-{platform.machine().replace('_', '-')}"


def machine(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Return the class of this machine, the commit and the versions.

    Args:
        packages: Distributions whose versions matter.

    Returns:
        Plain values; ``clean`` is whether the tree is the commit's, None where git cannot tell.
    """
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # run from a source tree that is not installed
            versions[package] = "source tree"
    changes = _git("status", "--porcelain")
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": cores(),
        "commit": _git("rev-parse", "--short=12", "HEAD") or "unknown",
        "clean": None if changes is None else changes == "",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "versions": versions,
    }


def _git(*words: str) -> str | None:
    try:
        found = subprocess.run(
            ["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def command_line(script: str, words: Sequence[str]) -> str:
    """Return the command that gives the figures again.

    Args:
        script: Name of the benchmark, without folder and suffix.
        words: Its arguments.

    Returns:
        One line for a shell.
    """
    return shlex.join(["python", f"benchmarks/{script}.py", *words])


def head(
    title: str,
    about: Mapping[str, Any],
    *,
    configuration: str,
    command: str,
    hardware: str | None = None,
) -> list[str]:
    """Return the first lines of a result file.

    Args:
        title: What was measured.
        about: What :func:`machine` gave; a ``processor`` in it is named too.
        configuration: Sizes, seeds, checkpoints: whatever the figures depend on.
        command: The command that gives them again.
        hardware: Class of the machine; this one's by default.

    Returns:
        Lines of Markdown, an empty one last.
    """
    states = {True: "", False: " with uncommitted changes", None: " (state of the tree unknown)"}
    details = [about["system"], about["architecture"], f"{about['cores']} cores"]
    details += [about["processor"]] if "processor" in about else []
    details.append("no accelerator used")
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    return [
        f"# {title}",
        "",
        f"- date: {about['date']}",
        f"- commit: {about['commit']}{states[about['clean']]}",
        f"- machine: {hardware or hardware_class()} ({', '.join(details)})",
        f"- versions: {versions}",
        f"- configuration: {configuration}",
        f"- command: `{command}`",
        "",
    ]


def public_data() -> Path:
    """Return the folder of the public data, whether or not it is there."""
    named = os.environ.get("EDGE_SURROGATE_DATA", "../shared/data")
    return (REPOSITORY / named).resolve()


class BenchmarkParser(argparse.ArgumentParser):
    """The command line of a benchmark, with the options that say where its figures go.

    Args:
        description: What the benchmark is for.
    """

    def __init__(self, description: str | None) -> None:
        super().__init__(description=description, allow_abbrev=False)
        add = self.add_argument
        add("--hardware", metavar="NAME", help="class of this machine in file names")
        add("--out", metavar="FOLDER", type=Path, help="where a result file is written")
        add("--json", action="store_true", help="print one JSON object")

    def add_checkpoint(self, default: str = "chainnet", *, said: str = "name or folder") -> None:
        """Let a surrogate be named.

        Args:
            default: The one that is taken where none is.
            said: What the help says of it.
        """
        self.add_argument("--checkpoint", metavar="NAME", default=default, help=said)

    def add_public_data(self, *parts: str, said: str = "public data") -> None:
        """Let the folder of the public data be named.

        Args:
            parts: Folders below that of ``EDGE_SURROGATE_DATA``, which is taken where none is.
            said: What the help says of it.
        """
        folder = public_data().joinpath(*parts)
        self.add_argument("--data", metavar="FOLDER", type=Path, default=folder, help=said)

    def require_public_data(self, found: bool, folder: Path) -> None:
        """End the program where public data are not there.

        Args:
            found: Whether they are.
            folder: Where they were looked for.
        """
        if not found:
            self.error(f"data must be a folder (set EDGE_SURROGATE_DATA or --data), got {folder}")

    def given(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Return the options that were given, for :func:`deliver`.

        Args:
            arguments: The words of the command line; None for the process's own.

        Returns:
            The options by name, and the ``words`` they were read from.
        """
        words = list(sys.argv[1:] if arguments is None else arguments)
        return self.parse_args(words, argparse.Namespace(words=words))


def deliver(
    what: str,
    report: Mapping[str, Any],
    given: argparse.Namespace,
    *,
    result_text: Callable[..., str],
    summary: str | None = None,
) -> Path | None:
    """Write the result file that was asked for, and print the figures.

    Args:
        what: Name of the benchmark, without folder and suffix.
        report: Plain figures, with a ``machine`` as :func:`machine` gave it.
        given: What :meth:`BenchmarkParser.given` gave.
        result_text: Makes the content of the file from report, command and class of the machine.
        summary: What is printed without ``--json``; the content of the file by default.

    Returns:
        The result file, or None where none was asked for.
    """
    command, hardware, path = command_line(what, given.words), given.hardware, None
    if given.out is not None:
        text, date = result_text(report, command, hardware), report["machine"]["date"]
        path = write_result(given.out, what, text, date=date, hardware=hardware)
        sys.stderr.write(f"written: {path}\n")
    if given.json:
        sys.stdout.write(json.dumps(report, allow_nan=False) + "\n")
    else:
        sys.stdout.write(result_text(report, command, hardware) if summary is None else summary)
    return path


def write_result(
    folder: Path, what: str, text: str, *, date: str, hardware: str | None = None
) -> Path:
    """Write a result file under a name that is still free.

    Args:
        folder: Where; made if it is not there.
        what: Name of the benchmark.
        text: Content.
        date: Day of the measurement, as :func:`machine` gives it.
        hardware: Class of the machine; this one's by default.

    Returns:
        The new file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{what}_{hardware or hardware_class()}_{date[:7].replace('-', '')}"
    names = chain([stem], (f"{stem}_{number}" for number in count(2)))
    path = next(path for name in names if not (path := folder / f"{name}.md").exists())
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return path
