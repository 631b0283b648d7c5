"""Events per second of the simulators of one and the same deployments, in one interleaved run.

``python benchmarks/simulator_speed.py --json`` times both engines of ours with all measures on, a
textbook SimPy script (a process per job, ``simpy.Resource``, a counter for the buffer, counts and
summed latency only) and Ciw, and prints the figures; ``--out FOLDER`` also writes a dated result
file, ``--short`` takes half a minute, ``--full`` adds the peak memory of short and of long runs
and the time of a first call.

An event is an external arrival or a service completion. Times are processor time.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from other_simulators import Played, fits_ciw, play_ciw, play_plain_simpy
from result_file import PACKAGES, BenchmarkParser, deliver, head, machine
from speed_networks import event_rate, ring, shared, single, tandem, type1

from datagen.deployment import Deployment
from datagen.evaluation import pack
from datagen.simulator import SimulationOptions, simulate_batch, warm_up

REPEATS = 5
SEED = 1

DEVICE_COUNTS = (3, 30, 300)
MEMORY_JOBS = (1e4, 1e7)

Player = Callable[[Deployment, float, int], Played]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Expected events of one timed run, by simulator."""

    numba: float
    simpy: float
    plain_simpy: float
    ciw: float


USUAL = Sizes(numba=3e6, simpy=2e5, plain_simpy=2e5, ciw=8e4)
SHORT = Sizes(numba=2e6, simpy=5e4, plain_simpy=5e4, ciw=3e4)


def play_ours(
    deployment: Deployment, horizon: float, seed: int, *, engine: Literal["numba", "simpy"]
) -> Played:
    """Simulate a deployment with an engine of ours, draws and estimates included.

    Args:
        deployment: The deployment.
        horizon: Simulated time [s].
        seed: Of the draws.
        engine: Which one.

    Returns:
        The run.
    """
    batch = pack([deployment])
    options = SimulationOptions(engine=engine, horizon=horizon, replications=1, seed=seed)
    began = time.process_time()
    measures = simulate_batch(batch, options)
    seconds = time.process_time() - began
    chain = measures.chain
    return Played(
        seconds=seconds,
        events=int(measures.deployment["events"][0]),
        offered=int(chain["offered"].sum()),
        lost=int(chain["lost"].sum()),
        completed=int(chain["completed"].sum()),
        latency=float((chain["completed"] * chain["latency"]).sum()),
    )


PLAYERS: dict[str, Player] = {
    "numba": partial(play_ours, engine="numba"),
    "simpy": partial(play_ours, engine="simpy"),
    "plain_simpy": play_plain_simpy,
    "ciw": play_ciw,
}


def timed(
    deployments: dict[str, Deployment], sizes: Sizes, repeats: int
) -> dict[str, dict[str, list[Played]]]:
    """Run every simulator on every deployment, in turn, again and again.

    Args:
        deployments: By name.
        sizes: Events of each run.
        repeats: Rounds.

    Returns:
        Runs by deployment and simulator.
    """
    runs: dict[str, dict[str, list[Played]]] = {}
    for repeat in range(repeats):
        for name, deployment in deployments.items():
            mine = runs.setdefault(name, {})
            for simulator, play in PLAYERS.items():
                if simulator == "ciw" and not fits_ciw(deployment):
                    continue
                horizon = getattr(sizes, simulator) / event_rate(deployment)
                mine.setdefault(simulator, []).append(play(deployment, horizon, SEED + repeat))
    return runs


def figures(runs: list[Played]) -> dict[str, float]:
    """Return speed and estimates of the runs of one simulator on one deployment."""
    offered = sum(run.offered for run in runs)
    return {
        "events_per_s": statistics.median(run.events / run.seconds for run in runs),
        "events": sum(run.events for run in runs) / len(runs),
        "loss_ratio": sum(run.lost for run in runs) / offered,
        "latency": sum(run.latency for run in runs) / sum(run.completed for run in runs),
    }


def headlines(found: dict[str, dict[str, dict[str, float]]]) -> dict[str, float]:
    """Return speeds and ratios, geometric means over the deployments that a simulator plays.

    Args:
        found: Figures by deployment and simulator.

    Returns:
        The figures that the contract names.
    """

    def mean(simulator: str) -> float:
        return statistics.geometric_mean(
            by[simulator]["events_per_s"] for by in found.values() if simulator in by
        )

    def ratio(fast: str, slow: str) -> float:
        return statistics.geometric_mean(
            by[fast]["events_per_s"] / by[slow]["events_per_s"]
            for by in found.values()
            if slow in by
        )

    return {f"{simulator}_events_per_s": mean(simulator) for simulator in PLAYERS} | {
        "numba_vs_plain_simpy": ratio("numba", "plain_simpy"),
        "numba_vs_ciw": ratio("numba", "ciw"),
        "simpy_engine_vs_plain_simpy": ratio("simpy", "plain_simpy"),
    }


def growth(events: float, repeats: int) -> dict[str, float]:
    """Return the numba engine's events per second by number of devices (and chains)."""
    rings = {count: ring(count) for count in DEVICE_COUNTS}
    speeds: dict[int, list[float]] = {count: [] for count in rings}
    for repeat in range(repeats):
        for count, deployment in rings.items():
            horizon = events / event_rate(deployment)
            run = PLAYERS["numba"](deployment, horizon, SEED + repeat)
            speeds[count].append(run.events / run.seconds)
    return {str(count): statistics.median(own) for count, own in speeds.items()}


def peak_memory(jobs: float, cache: str | None = None) -> float:
    """Return the peak memory of a process that simulates this many jobs with numba [MB].

    Args:
        jobs: Expected number.
        cache: Folder for compiled loops in place of the user's.
    """
    command = [sys.executable, __file__, "--only-play", repr(jobs)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    if cache is not None:
        environment["XDG_CACHE_HOME"] = cache
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(found.stdout)


def first_call() -> dict[str, float]:
    """Return how long a process takes that simulates a few jobs, imports included [s].

    The first such process of a user has to compile the loop; the next find it on disk.
    """
    seconds = {}
    with tempfile.TemporaryDirectory() as cache:
        for state in ("fresh", "cached"):
            began = time.perf_counter()
            peak_memory(100.0, cache)
            seconds[state] = time.perf_counter() - began
    return seconds


def own_peak_memory(jobs: float) -> float:
    """Simulate this many jobs with numba; return the peak memory of this process [MB]."""
    deployment = single()
    play_ours(deployment, jobs / deployment.problem.chains[0].arrivals.rate, SEED, engine="numba")
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def processor() -> str:
    """Return the class of the processor as the system names it."""
    described = Path("/proc/cpuinfo")
    if described.is_file():
        for line in described.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def measure(*, short: bool, full: bool, repeats: int = REPEATS) -> dict[str, Any]:
    """Measure everything.

    Args:
        short: Whether to run short.
        full: Whether to measure memory and the first call too.
        repeats: Rounds.

    Returns:
        Plain figures.
    """
    sizes = SHORT if short else USUAL
    about = machine((*PACKAGES, "simpy", "ciw")) | {"processor": processor()}
    warm_up()
    deployments = {make.__name__: make() for make in (single, tandem, shared, type1)}
    runs = timed(deployments, sizes, repeats)
    found = {
        name: {simulator: figures(own) for simulator, own in by.items()}
        for name, by in runs.items()
    }
    return headlines(found) | {
        "deployments": found,
        "numba_events_per_s_by_devices": growth(sizes.numba, repeats),
        "peak_memory_mb_by_jobs": (
            {f"{jobs:.0e}": peak_memory(jobs) for jobs in MEMORY_JOBS} if full else None
        ),
        "first_call_s": first_call() if full else None,
        "repeats": repeats,
        "events": vars(sizes),
        "seed": SEED,
        "machine": about,
    }


def table(report: dict[str, Any]) -> str:
    """Return the figures as Markdown tables.

    Args:
        report: What :func:`measure` gave.

    Returns:
        Lines of text.
    """
    lines = [
        "| deployment | simulator | events/s | loss ratio | latency |",
        "|---|---|---|---|---|",
    ]
    for name, by in report["deployments"].items():
        for simulator, own in by.items():
            values = f"{own['events_per_s']:,.0f} | {own['loss_ratio']:.4f} | {own['latency']:.3f}"
            lines.append(f"| {name} | {simulator} | {values} |")
    lines += ["", "| over the deployments (geometric mean) | |", "|---|---|"]
    for key in headlines(report["deployments"]):
        lines.append(f"| {key} | {report[key]:,.{0 if key.endswith('_per_s') else 2}f} |")
    lines += ["", "| devices and chains | numba, events/s |", "|---|---|"]
    lines += [f"| {n} | {x:,.0f} |" for n, x in report["numba_events_per_s_by_devices"].items()]
    if report["peak_memory_mb_by_jobs"] is not None:
        lines += ["", "| jobs | numba, peak memory of the process [MB] |", "|---|---|"]
        lines += [f"| {n} | {x:.0f} |" for n, x in report["peak_memory_mb_by_jobs"].items()]
    if report["first_call_s"] is not None:
        lines += ["", "| compiled loops | start and first simulation, wall time [s] |", "|---|---|"]
        lines += [f"| {state} | {x:.1f} |" for state, x in report["first_call_s"].items()]
    return "\n".join(lines) + "\n"


def result_text(report: dict[str, Any], command: str, hardware: str | None = None) -> str:
    """Return the content of a result file.

    Args:
        report: What :func:`measure` gave.
        command: The command that was run.
        hardware: Class of the machine; this one's by default.

    Returns:
        Markdown.
    """
    sizes = ", ".join(f"{name} {events:g}" for name, events in report["events"].items())
    return "\n".join([
        *head(
            "Simulator speed: both engines, a textbook SimPy script and Ciw",
            report["machine"],
            configuration=f"medians of {report['repeats']} interleaved repeats, processor time of "
            f"one thread; events per run: {sizes}; seed {report['seed']}",
            command=command,
            hardware=hardware,
        ),
        table(report),
        "An event is an external arrival or a service completion. Ours are timed with all measures",
        "on, the drawing of the times and the estimates; compilation is not timed. The textbook",
        "script keeps a process per job, `simpy.Resource`, a counter for the buffer, counts and",
        "summed latency. Ciw is timed without the reading of its records, only where both agree in",
        "law: it loses jobs at the door of a network and blocks servers inside, so `tandem` and",
        "`type1`, which lose jobs inside, are left out. Ratios are over the deployments that both",
        "play.",
        "",
    ])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    parser = BenchmarkParser(__doc__)
    parser.add_argument("--short", action="store_true", help="half a minute")
    parser.add_argument("--full", action="store_true", help="also peak memory and first call")
    parser.add_argument("--only-play", metavar="JOBS", type=float, help=argparse.SUPPRESS)
    given = parser.given(arguments)
    if given.only_play is not None:
        sys.stdout.write(f"{own_peak_memory(given.only_play)}\n")
        return 0
    report = measure(short=given.short, full=given.full)
    deliver("simulator_speed", report, given, result_text=result_text, summary=table(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
