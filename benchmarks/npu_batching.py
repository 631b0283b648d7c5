"""Batching accelerators: exit-aware preemption on fluid, stackable arrays against other systems.

Every system, a batching policy on a variant of the processing array, meets the same samples in each
case: networks x arrays x arrivals x loads x objectives, see ``npu_cases``. Ratios are geometric
means over cases of the other system's figure over that of exit-aware preemption on the fluid and
stackable array. Both engines are timed too, on a few of the same deployments.

    python benchmarks/npu_batching.py --json
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from npu_cases import (
    ARRAYS,
    LINE_LOADS,
    LINE_POLICIES,
    MAX_BATCH,
    MIXES,
    NETWORKS,
    OURS,
    SETUPS,
    SYSTEMS,
    Case,
    all_cases,
    deployment,
    some_cases,
    straight_line,
)
from npu_figures import ratio_figure, utilization_figure
from npu_report import result_text
from result_file import BenchmarkParser, deliver, machine

from datagen.evaluation import pack
from datagen.npu import VARIANTS, batch_policy, network, processing_array, segment_seconds
from datagen.npu.batch_policies import Batch, Line, Situation
from datagen.npu.batching import EXIT_AWARE
from datagen.simulator import SimulationOptions, simulate_batch, warm_up
from datagen.simulator.engine import Engine
from datagen.simulator.network import networks
from datagen.simulator.numba_engine import NumbaEngine
from datagen.simulator.simpy_engine import SimpyEngine
from datagen.simulator.sources import chain_draws
from datagen.simulator.tally import RunLength

EVENTS = 1e5
"""Expected events of each simulation: some 30,000 samples."""

SEED = 11

RESOLVED = 20
"""Samples that miss in one of two systems, at least, for the ratio of both to be looked at."""

REPEATS = 7
"""Timed runs of each engine, in turn; medians count."""

TIMED_EVENTS = {"numba": 1e6, "simpy": 2e4}


def measure(cases: Sequence[Case], events: float = EVENTS) -> list[dict[str, Any]]:
    """Simulate every system in every case.

    Args:
        cases: The cases.
        events: Expected events of each simulation.

    Returns:
        A row per case and system.
    """
    rows = []
    options = SimulationOptions(events=events, seed=SEED)
    for number, case in enumerate(cases):
        batch = pack([deployment(case, system) for system in SYSTEMS])
        # The same random streams for all systems of a case.
        found = simulate_batch(batch.with_key(np.full(len(batch), number)), options)
        for place, system in enumerate(SYSTEMS):
            own = slice(*found.chain_start[place : place + 2])
            rows.append({**asdict(case), "system": system, **_figures(found, place, own)})
    return rows


def _figures(found: Any, place: int, chains: slice) -> dict[str, float]:
    """Return what a system did, over all sources."""
    chain, device = found.chain, found.device
    offered, completed = chain["offered"][chains], chain["completed"][chains]
    shares = completed / completed.sum()
    missed = offered @ (1.0 - chain["attainment"][chains])
    return {
        "latency": float(shares @ chain["latency"][chains]),
        "p95": float(chain["p95"][chains].max()),
        "p99": float(chain["p99"][chains].max()),
        "offered": float(offered.sum()),
        "violations": float(missed / offered.sum()),
        "loss_ratio": float(chain["lost"][chains].sum() / offered.sum()),
        "throughput": float(chain["throughput"][chains].sum()),
        "utilization": float(device["utilization"][place]),
        "batch": float(device["batch"][place]),
        "preemptions_per_sample": float(
            device["preemptions"][place] / chain["throughput"][chains].sum()
        ),
    }


def compared(rows: Sequence[Mapping[str, Any]], by: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Compare every system with exit-aware preemption on the fluid and stackable array.

    Args:
        rows: What :func:`measure` gave.
        by: Names that cases are told apart by.

    Returns:
        Per system and group the ratios of mean latencies and of violations.
    """
    names = tuple(Case.__dataclass_fields__)
    ours = {tuple(row[n] for n in names): row for row in rows if row["system"] == OURS}
    groups: dict[tuple[Any, ...], list[tuple[Any, Any]]] = {}
    for row in rows:
        if row["system"] != OURS:
            key = (row["system"], *(row[name] for name in by))
            groups.setdefault(key, []).append((row, ours[tuple(row[n] for n in names)]))
    return [
        {
            "system": system,
            **dict(zip(by, group, strict=True)),
            "mean_latency_ratio": _spread([a["latency"] / b["latency"] for a, b in pairs]),
            "slo_violation_ratio": _spread([_missed(a, b) for a, b in pairs if _resolved(a, b)]),
        }
        for (system, *group), pairs in groups.items()
    ]


def _resolved(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return max(row["violations"] * row["offered"] for row in (one, other)) >= RESOLVED


def _missed(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Return the ratio of violations, one of which counts where there was none."""
    counts = [row["violations"] * row["offered"] for row in (one, other)]
    return (max(counts[0], 1.0) / one["offered"]) / (max(counts[1], 1.0) / other["offered"])


def _spread(ratios: Sequence[float]) -> dict[str, float | int | None]:
    if not ratios:
        return {"geometric_mean": None, "low": None, "high": None, "cases": 0}
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    return {
        "geometric_mean": mean,
        "low": min(ratios),
        "high": max(ratios),
        "cases": len(ratios),
    }


def flatness(events: float = EVENTS) -> list[dict[str, float]]:
    """Compare policies on made-up arrays whose batches are more and more nearly free.

    Args:
        events: Expected events of each simulation.

    Returns:
        A row per setup cost and load, of mean latencies over that of exit-aware preemption.
    """
    rows = []
    options = SimulationOptions(events=events, seed=SEED)
    for setup, load in product(SETUPS, LINE_LOADS):
        batch = pack([straight_line(setup, load, policy) for policy in LINE_POLICIES])
        found = simulate_batch(batch.with_key(np.zeros(len(batch), dtype=np.int64)), options)
        latency = dict(zip(LINE_POLICIES, found.chain["latency"].tolist(), strict=True))
        rows.append({
            "setup": setup,
            "load": load,
            "greedy": latency["greedy"] / latency["exit_aware"],
            "lazy": latency["lazy"] / latency["exit_aware"],
            "preemptions_per_sample": float(
                found.device["preemptions"][-1] / found.chain["throughput"][-1]
            ),
        })
    return rows


def gainful(max_batch: int = MAX_BATCH) -> list[dict[str, Any]]:
    """Count where catching up lowers the mean latency, by the times of each array alone.

    Args:
        max_batch: Largest batch.

    Returns:
        A row per network, array and variant: how often the inequality of exit-aware preemption
        holds among all exits, batches in hand and newcomers, and T(B) / B T(1).
    """
    rows = []
    exits = len(MIXES["even"])
    policy = batch_policy(EXIT_AWARE)
    for name, array, variant in product(NETWORKS, ARRAYS, VARIANTS):
        table = segment_seconds(network(name), exits, processing_array(array), variant, max_batch)
        rest = table[::-1].cumsum(axis=0)[::-1]
        line = Line(
            seconds=table, before=rest[0] - rest, rest=rest, reached=np.ones(exits), waiting=[]
        )
        combinations = [
            (exit_, size, wanted)
            for exit_, size in product(range(1, exits), range(1, max_batch))
            for wanted in range(1, max_batch - size + 1)
        ]
        gains = [_gains(policy, line, *own) for own in combinations]
        cost = float(rest[0, -1] / (max_batch * rest[0, 0]))
        case = {"network": name, "array": array, "variant": variant}
        rows.append({**case, "share": float(np.mean(gains)), "cost_of_full_batch": cost})
    return rows


def _gains(policy: Any, line: Line, segment: int, size: int, wanted: int) -> bool:
    """Return whether an accelerator with so many in hand and in line lets newcomers catch up."""

    def guests(count: int) -> list[Any]:
        return [SimpleNamespace(deadline=math.inf, entered=0.0, ticket=0) for _ in range(count)]

    line.waiting[:] = guests(wanted)
    stack = [Batch(line, guests(size), segment=segment, width=size)]
    seen = Situation(lines=[line], stack=stack, max_batch=size + wanted, timeout=0.0, compacts=True)
    return bool(policy.newcomers(seen) > 0)


def _events_per_second(engine: Engine, case: Case, system: str) -> float:
    batch = pack([deployment(case, system)])
    network = networks(batch, engine.name)[0]
    rate = 4.0 * float(batch.chain_rate.sum())  # an arrival and some three segments a sample
    horizon = TIMED_EVENTS[engine.name] / rate
    sources = chain_draws(batch, 0, seed=SEED, replication=0)
    began = time.process_time()
    run = engine.run(network, sources, RunLength.of(0.0, horizon))
    return run.events / (time.process_time() - began)


def speed(cases: Sequence[Case], repeats: int = REPEATS) -> dict[str, float]:
    """Time both engines on the same deployments, in turn, by processor time.

    Args:
        cases: The cases, each of which one policy after the other plays.
        repeats: Timed runs per engine and deployment, besides one that is not counted.

    Returns:
        Geometric means over deployments of the median rates [events/s], and of their ratio.
    """
    rates = []
    for case in cases:
        for system in (OURS, "lazy", "greedy"):
            runs = [
                [
                    _events_per_second(engine, case, system)
                    for engine in (NumbaEngine(), SimpyEngine())
                ]
                for _ in range(repeats + 1)
            ]
            rates.append(np.median(runs[1:], axis=0))
    numba, simpy = np.exp(np.log(rates).mean(axis=0)).tolist()
    return {
        "numba_events_per_s": numba,
        "simpy_events_per_s": simpy,
        "numba_vs_simpy": numba / simpy,
    }


def report(cases: Sequence[Case], events: float, repeats: int) -> dict[str, Any]:
    """Return everything that the benchmark finds.

    Args:
        cases: The cases.
        events: Expected events of each simulation.
        repeats: Timed runs per engine and deployment.

    Returns:
        Plain figures; ``rows`` has one entry per case and system.
    """
    warm_up(pack([deployment(cases[0], OURS)]))
    rows = measure(cases, events)
    even = [row for row in rows if row["mix"] == "even"]
    overall = compared(even)
    groups = ("array", "network", "arrivals", "load", "objective")
    return {
        "machine": machine(("edge-surrogate", "numba", "numpy")),
        "events": events,
        "seed": SEED,
        "cases": len(cases),
        "mean_latency_ratio": {row["system"]: row["mean_latency_ratio"] for row in overall},
        "slo_violation_ratio": {row["system"]: row["slo_violation_ratio"] for row in overall},
        "by": {name: compared(even, (name,)) for name in groups}
        | {"mix": compared(rows, ("mix",))},
        "flatness": flatness(events),
        "gainful": gainful(),
        "speed": speed(list(some_cases()), repeats),
        "rows": rows,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    parser = BenchmarkParser(__doc__)
    parser.add_argument("--short", action="store_true", help="a few cases, shorter runs")
    parser.add_argument("--figures", metavar="FOLDER", type=Path, help="where pictures are written")
    given = parser.given(arguments)
    cases = list(some_cases() if given.short else all_cases())
    found = report(cases, EVENTS / 10 if given.short else EVENTS, 1 if given.short else REPEATS)
    if given.figures is not None:
        given.figures.mkdir(parents=True, exist_ok=True)
        utilization_figure(given.figures / "npu_utilization.png", tuple(ARRAYS))
        ratio_figure(given.figures / "npu_batching_ratios.png", found["by"]["load"])
    deliver("npu_batching", found, given, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
