"""Help comes at once, because no command loads a heavy library before it knows it is needed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ["lightning", "numba", "pyarrow", "torch"]

MAX_SECONDS = 1.0
"""Processor time with the interpreter's start; a clock would also count busy neighbours."""

CHILD = """
import contextlib, io, json, runpy, sys, time
program, *arguments, heavy = sys.argv[1:]
sys.argv = [program, *arguments]
status, text = 0, io.StringIO()
with contextlib.redirect_stdout(text):
    try:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        status = stop.code or 0
report = {
    "status": status,
    "text": text.getvalue(),
    "loaded": sorted(set(heavy.split(",")) & set(sys.modules)),
    "seconds": time.process_time(),
}
json.dump(report, sys.stdout)
"""


@pytest.mark.parametrize(
    "command",
    [
        "datagen",
        "datagen generate",
        "datagen merge",
        "datagen import-chainnet",
        "datagen import-ceed",
        "datagen import-measured",
        "datagen describe",
        "datagen reproduce",
        "datagen simulate",
        "datagen compare",
        "datagen validate",
        "datagen warm-up",
        "datagen theory",
        "surrogate",
        "surrogate evaluate",
        "surrogate optimize",
        "surrogate record-trace",
    ],
)
def test_help_is_quick_and_loads_nothing_heavy(command: str) -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *command.split(), "--help", ",".join(HEAVY)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    report = json.loads(child.stdout)
    assert report["status"] == 0
    assert report["text"].lower().startswith("usage:")
    assert report["loaded"] == []
    assert report["seconds"] < MAX_SECONDS
