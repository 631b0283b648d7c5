"""Exit predictors against tables, independence and counting; see README.md for what is shown.

The network of ``configs/train/eenn_network.yaml`` was recorded on calibration and on test images.
``eenn-digits`` learned from the calibration trace; ``eenn-general`` is given a few of its samples.
Both are judged by the test trace, under thresholds of their own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from eenn_predictor_report import page, result_text
from numpy.typing import NDArray
from result_file import BenchmarkParser, deliver, machine

from datagen.exits import ExitTrace
from datagen.exits.counts import count_exits, samples_in
from surrogate import load_exit_predictor
from surrogate.exits.draws import random_thresholds
from surrogate.exits.families import NetworkFamily
from surrogate.exits.judging import contexts_of, judge
from surrogate.exits.predictor import FewShotPredictor, TracePredictor
from surrogate.exits.release import JUDGED_SEED, judge_few_shot, unseen_networks
from surrogate.exits.tables import table_of
from surrogate.exits.trace_network import TraceNet
from surrogate.folders import shipped_folder

Floats = NDArray[np.float64]

SPEED_EXITS, SPEED_BATCH, SPEED_ROWS = 9, 4096, 1000
"""Size of what is timed: exits, vectors in a batch, samples of the trace that is counted over."""

WARM_UPS, REPEATS, THREADS = 2, 7, 2

FEW, FEW_BATCH = 100, 512
"""Samples of the network that the few-shot predictor is timed with, and vectors: as many as it
handles at a time."""

DRAWS = 8
"""Random sets of recorded samples of each size, per context of the digits network."""

SWEEP = 1.0 - np.logspace(0.0, -4.0, 33)
"""Thresholds of the curve of accuracy over cost, the same at all exits, dense near 1."""


def rate_of(vectors: int, work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Return vectors per second of work on a batch of them, the median of the repeats."""
    for _ in range(WARM_UPS):
        work()
    times = []
    for _ in range(REPEATS):
        begin = clock()
        work()
        times.append(clock() - begin)
    return vectors / median(times)


def speeds(digits: TracePredictor, general: FewShotPredictor, seed: int) -> dict[str, Any]:
    """Time predictors and the count on a made-up network of :data:`SPEED_EXITS` exits.

    Args:
        digits: The network whose size is timed.
        general: The few-shot predictor.
        seed: Seed of network and thresholds.

    Returns:
        Vectors per second, by the clock with :data:`THREADS` threads, and per second of processor
        time on one.
    """
    import torch  # after surrogate, which chooses how its threads wait

    rng = np.random.default_rng(seed)
    trace = NetworkFamily().draw(SPEED_ROWS, SPEED_EXITS, rng)
    settings = {**digits.network.settings, "exits": SPEED_EXITS, "contexts": 1}
    network = TraceNet(**settings)
    network.set_table(table_of(trace, settings["knots"]))
    predictor = TracePredictor("timed", network.eval(), {})
    few = ExitTrace(name="few", confidences=trace.confidences[:FEW], correct=trace.correct[:FEW])
    adapted = general.adapted(few)
    tau = random_thresholds(trace.confidences, SPEED_BATCH, rng)
    works: dict[str, tuple[int, Callable[[], object]]] = {
        "": (SPEED_BATCH, lambda: predictor.predict(tau, 0)),
        "direct_count_": (SPEED_BATCH, lambda: count_exits(trace, tau)),
        "general_": (FEW_BATCH, lambda: adapted.predict(tau[:FEW_BATCH])),
    }
    given, found = torch.get_num_threads(), {}
    try:
        for name, (vectors, work) in works.items():
            torch.set_num_threads(THREADS)
            found[f"{name}vectors_per_s"] = rate_of(vectors, work, time.perf_counter)
            torch.set_num_threads(1)
            found[f"{name}vectors_per_cpu_s"] = rate_of(vectors, work, time.process_time)
    finally:
        torch.set_num_threads(given)
    return found


def cost_curves(
    digits: TracePredictor, calibration: ExitTrace, test: ExitTrace
) -> list[dict[str, Any]]:
    """Return accuracy and mean cost over one threshold for all exits, predicted and measured."""
    tau = np.repeat(SWEEP[:, None], calibration.exits - 1, axis=1)
    cost = np.ones(test.exits).cumsum() if test.cost is None else test.cost
    curves = []
    for context in contexts_of(test):
        predicted, measured = digits.predict(tau, context), count_exits(test, tau, context)
        curves.append({
            "context": context,
            "threshold": SWEEP.tolist(),
            "predicted_cost": (predicted.mix @ cost / cost[-1]).tolist(),
            "predicted_accuracy": predicted.overall_accuracy.tolist(),
            "measured_cost": (measured.mix @ cost / cost[-1]).tolist(),
            "measured_accuracy": measured.overall_accuracy.tolist(),
        })
    return curves


def measure(
    digits: TracePredictor,
    general: FewShotPredictor,
    calibration: ExitTrace,
    test: ExitTrace,
    *,
    vectors: int,
    networks: int,
    seed: int,
) -> dict[str, Any]:
    """Return all figures.

    Args:
        digits: Predictor of the network of the traces.
        general: Predictor that adapts.
        calibration: Trace that may be known.
        test: Trace that judges.
        vectors: Vectors of thresholds per context.
        networks: Made-up networks that the few-shot predictor is judged by as well.
        seed: Seed of thresholds and samples; a number no training had.

    Returns:
        A report for :func:`eenn_predictor_report.result_text`.
    """
    unseen = digits.metrics.get("trained_on", {}).get("unseen_contexts", [])
    judged = judge(digits.predict, calibration, test, vectors=vectors, seed=seed, unseen=unseen)
    accuracy = [
        samples_in(test, k).correct.mean(axis=0) if k is not None else test.correct.mean(axis=0)
        for k in contexts_of(test)
    ]
    made_up = unseen_networks(NetworkFamily(), networks, seed)
    return {
        "machine": machine(),
        **judged,
        **speeds(digits, general, seed),
        "test_accuracy_by_exit": test.correct.mean(axis=0).tolist(),
        "test_accuracy_by_exit_and_context": [row.tolist() for row in accuracy],
        "general": {
            "digits": judge_few_shot(general, [(calibration, test)], seed, draws=DRAWS),
            "made_up_networks": judge_few_shot(general, made_up, seed),
        },
        "cost_curves": cost_curves(digits, calibration, test),
        "samples": {"calibration": calibration.samples, "test": test.samples},
        "seed": seed,
    }


def parser() -> BenchmarkParser:
    """Return the parser of the command line."""
    made = BenchmarkParser(__doc__)
    folder = shipped_folder("eenn-network")
    made.add_argument("--calibration", type=Path, default=folder / "calibration.npz")
    made.add_argument("--test", type=Path, default=folder / "test.npz")
    made.add_argument("--digits", metavar="CHECKPOINT", default="eenn-digits")
    made.add_argument("--general", metavar="CHECKPOINT", default="eenn-general")
    made.add_argument("--vectors", type=int, default=2000, help="vectors per context")
    made.add_argument("--networks", type=int, default=60, help="made-up networks")
    made.add_argument("--seed", type=int, default=JUDGED_SEED + 1)
    made.add_argument("--html", metavar="FILE", type=Path, help="page with the cost curves")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    reader = parser()
    given = reader.given(arguments)
    digits, general = load_exit_predictor(given.digits), load_exit_predictor(given.general)
    if not isinstance(digits, TracePredictor) or not isinstance(general, FewShotPredictor):
        reader.error("--digits must name a predictor of one network, --general one that adapts")
    report = measure(
        digits,
        general,
        ExitTrace.load(given.calibration),
        ExitTrace.load(given.test),
        vectors=given.vectors,
        networks=given.networks,
        seed=given.seed,
    )
    if given.html is not None:
        page(report).write(given.html)
    deliver("eenn_predictor", report, given, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
