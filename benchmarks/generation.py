"""Generation of a data set: what a worker gets out of the compiled engine, and in how much memory.

A campaign draws deployments, packs them, estimates labels, builds tables and writes shards besides
simulating. Its event rate per worker is compared with the bare rate of the engine, the compiled
loop fed with its draws and nothing else, on deployments of the same data set, in as many processes
at once, before and after the campaign. Rates are by processor time: other programs on the machine
then change a rate little, and both sides of the ratio alike.

    python benchmarks/generation.py --json
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from result_file import BenchmarkParser, deliver, head, machine

from datagen.evaluation.packing import pack
from datagen.generate import generate, read_config
from datagen.simulator import numba_engine, simulation, warm_up
from datagen.store import read_dataset

REPOSITORY = Path(__file__).resolve().parent.parent
CONFIG = REPOSITORY / "configs" / "datagen" / "type1.yaml"

DEPLOYMENTS, SHORT_DEPLOYMENTS = 20_000, 400
SAMPLE = 256
"""Deployments that the bare rate is measured on: every so-manieth of the data set."""

PASSES = 3
"""Times the bare rate is measured, before the campaign and after it; the median counts."""

KIB = 1024.0

PACKAGES = ("edge-surrogate", "numba", "numpy", "pyarrow")

SHOWN = {
    "deployments": ("deployments", "{:,}"),
    "events_per_deployment": ("events per deployment", "{:,.0f}"),
    "worker_events_per_s": ("a worker of the campaign [events/s]", "{:,.0f}"),
    "engine_events_per_s": ("the engine: compiled loop fed with its draws [events/s]", "{:,.0f}"),
    "loop_events_per_s": ("the compiled loop alone [events/s]", "{:,.0f}"),
    "worker_vs_engine": ("worker / engine", "{:.3f}"),
    "worker_vs_loop": ("worker / loop alone", "{:.3f}"),
    "parent_cpu_s": ("processor time of the writing process [s]", "{:.1f}"),
    "worker_peak_mib": ("peak memory of a worker, upper bound [MiB]", "{:.0f}"),
    "parent_peak_mib": ("peak memory of the writing process [MiB]", "{:.0f}"),
}
"""Figures of a result file: title and form of each."""

NOTE = (
    "A worker also draws deployments, packs them, estimates labels and builds tables; its start is "
    "included, and the way of the tables to the writing process."
)


class _Clock:
    """Adds up the processor time of a function while it is in its place."""

    def __init__(self, owner: Any, name: str) -> None:
        self.owner, self.name, self.function = owner, name, getattr(owner, name)
        self.seconds = 0.0

    def __enter__(self) -> _Clock:
        def timed(*arguments: Any, **options: Any) -> Any:
            began = time.process_time()
            try:
                return self.function(*arguments, **options)
            finally:
                self.seconds += time.process_time() - began

        setattr(self.owner, self.name, timed)
        return self

    def __exit__(self, *_: object) -> None:
        setattr(self.owner, self.name, self.function)


def bare_rates(number: int, deployments: int) -> dict[str, float]:
    """Return events per second of processor time, of the engine and of its compiled loop alone.

    Args:
        number: Number of the process: each plays other deployments.
        deployments: Size of the data set they are taken from.

    Returns:
        ``engine``, the loop fed with its draws, and ``loop``, without them: medians of passes.
    """
    config = read_config(CONFIG)
    rows = np.linspace(0, deployments - 1, SAMPLE).astype(int) + number
    batch = pack([config.scenario.sample(int(row), 0) for row in rows]).with_key(rows)
    options = replace(config.simulation, seed=0)
    warm_up()
    found: dict[str, list[float]] = {"engine": [], "loop": []}
    for _ in range(PASSES):
        with (
            _Clock(numba_engine.NumbaEngine, "replicate") as engine,
            _Clock(numba_engine, "play") as loop,
        ):
            measures = simulation.simulate_batch(batch, options)
        events = float(measures.deployment["events"].sum())
        found["engine"].append(events / engine.seconds)
        found["loop"].append(events / loop.seconds)
    return {name: statistics.median(rates) for name, rates in found.items()}


def bare_together(workers: int, deployments: int) -> list[dict[str, float]]:
    """Measure the bare rates in several processes at once."""
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        return pool.starmap(bare_rates, [(number, deployments) for number in range(workers)])


def campaign(folder: Path, deployments: int, workers: int) -> dict[str, float]:
    """Generate a data set in a process of its own; return what it took."""
    words = [sys.executable, __file__, "--only-generate", str(folder)]
    words += ["--num", str(deployments), "--workers", str(workers)]
    began = time.perf_counter()
    child = subprocess.run(words, capture_output=True, text=True, check=True)
    report: dict[str, float] = json.loads(child.stdout)
    report["wall_s"] = time.perf_counter() - began
    events = read_dataset(folder).measures(names=["deployment.events"]).deployment["events"]
    return report | {"events": float(events.sum())}


def generate_only(folder: Path, deployments: int, workers: int) -> None:
    """Generate, then print the processor time and the peak memory of all processes."""
    generate(folder, read_config(CONFIG), num=deployments, seed=0, workers=workers)
    own, theirs = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    report = {
        "workers_cpu_s": theirs.ru_utime + theirs.ru_stime,
        "parent_cpu_s": own.ru_utime + own.ru_stime,
        "worker_peak_mib": theirs.ru_maxrss / KIB,
        "parent_peak_mib": own.ru_maxrss / KIB,
    }
    sys.stdout.write(json.dumps(report) + "\n")


def measure(deployments: int, workers: int) -> dict[str, Any]:
    """Measure everything.

    Args:
        deployments: Size of the data set.
        workers: Worker processes.

    Returns:
        Plain values.
    """
    rates = bare_together(workers, deployments)
    with tempfile.TemporaryDirectory() as folder:
        took = campaign(Path(folder) / "set", deployments, workers)
    rates += bare_together(workers, deployments)
    bare = {name: statistics.median(rate[name] for rate in rates) for name in rates[0]}
    rate = took["events"] / took["workers_cpu_s"]
    return {
        "deployments": deployments,
        "workers": workers,
        "events_per_deployment": took["events"] / deployments,
        "worker_events_per_s": rate,
        "engine_events_per_s": bare["engine"],
        "loop_events_per_s": bare["loop"],
        "worker_vs_engine": rate / bare["engine"],
        "worker_vs_loop": rate / bare["loop"],
        **took,
        "machine": machine(PACKAGES),
    }


def result_text(report: Mapping[str, Any], command: str, hardware: str | None) -> str:
    """Return the content of a result file.

    Args:
        report: What :func:`measure` gave.
        command: The command that was run.
        hardware: Class of the machine; None for this one's.

    Returns:
        Markdown.
    """
    configuration = (
        f"`configs/datagen/type1.yaml`, {report['deployments']:,} deployments, seed 0, "
        f"{report['workers']} workers; bare rates on {SAMPLE} deployments of the set in "
        f"{report['workers']} processes at once, medians of {PASSES} passes before and {PASSES} "
        f"after; rates by processor time ({report['wall_s']:.0f} s by the clock, "
        f"{report['workers_cpu_s']:.0f} s of processor time in the workers)"
    )
    lines = head(
        "Generation: what a worker gets out of the compiled engine",
        report["machine"],
        configuration=configuration,
        command=command,
        hardware=hardware,
    )
    rows = [f"| {title} | {form.format(report[name])} |" for name, (title, form) in SHOWN.items()]
    return "\n".join([*lines, "| | |", "|---|---|", *rows, "", NOTE, ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    parser = BenchmarkParser(__doc__)
    parser.add_argument("--short", action="store_true", help="a few hundred deployments")
    parser.add_argument("--num", metavar="N", type=int, default=DEPLOYMENTS)
    parser.add_argument("--workers", metavar="W", type=int, default=2)
    parser.add_argument("--only-generate", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)
    given = parser.given(arguments)
    if given.only_generate is not None:
        generate_only(given.only_generate, given.num, given.workers)
        return 0
    report = measure(SHORT_DEPLOYMENTS if given.short else given.num, given.workers)
    deliver("generation", report, given, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
