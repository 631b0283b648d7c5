"""Whether a surrogate says so where it should not be trusted.

Deployments are drawn from the distributions that the shipped model was trained on and from others:
other laws, loads, buffers, sizes and effects. All are simulated. A deployment's error is the mean,
over its chains, of the relative errors of throughput ratio and latency ratio. The *level in
distribution* is taken in two ways, as the mean and as the 95 % quantile of the errors in
distribution; of the deployments out of distribution whose error exceeds twice the level, nearly all
should be flagged, and of those in distribution hardly any.

Effects that the model was not trained on it refuses by name. To see whether its flag would have
told, too, the refusal is lifted here; a refused deployment counts as flagged only in the columns
that say so.

    python benchmarks/out_of_distribution.py data/out_of_distribution --json

The first call makes the data sets in that folder, later ones take them from there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from result_file import BenchmarkParser, deliver, head, machine

from datagen.evaluation import Effect, Measures
from datagen.generate import GenerateConfig, generate
from datagen.scenarios import (
    BurstyScenario,
    EarlyExitScenario,
    MixedScenario,
    PlacementScenario,
    Scenario,
    Type1Scenario,
    Type2Scenario,
)
from datagen.simulator import SimulationOptions
from datagen.store import Dataset, read_dataset
from surrogate import load_surrogate
from surrogate.evaluator import SurrogateEvaluator

INSIDE: dict[str, Scenario] = {"type1": Type1Scenario(), "placement": PlacementScenario()}
"""What the shipped model was trained on, drawn anew."""

OUTSIDE: dict[str, Scenario] = {
    "type2": Type2Scenario(),
    "loads_far_above": Type1Scenario(interarrival=(0.005, 0.05)),
    "overloaded": PlacementScenario(load=(4.0, 20.0)),
    "large_buffers": Type1Scenario(capacity=(200, 2000)),
    "long_chains": Type1Scenario(length=(12, 20), pool=24),
    "crowded": Type1Scenario(chains=(8, 16)),
    "unequal_rates": PlacementScenario(rate_spread=3000.0),
    "varied_services": PlacementScenario(random_service=1.0, service_scv=(4.0, 30.0)),
    "renewal_arrivals": BurstyScenario(modulated=0.0, service_scv=(1.0, 2.0)),
    "bursty": BurstyScenario(modulated=1.0),
    "mixed": MixedScenario(),
    "early_exit": EarlyExitScenario(),
}
"""What it was not trained on, except that ``type2`` overlaps with it: its own devices are idle."""

ROWS = 200
"""Deployments of each distribution."""

INSIDE_ROWS = 600
"""Deployments of those that say how many are flagged for nothing, one in a hundred."""

OPTIONS = SimulationOptions(offered=10_000, max_events=5e5, replications=2)
"""Errors that matter here are of 5 % and more."""

SEED = 2027

TAIL = 0.95
"""Quantile that is one of the two levels."""

FACTOR = 2.0
"""Errors beyond this multiple of the level in distribution should be flagged."""

RELATIVE_OFFSET = 1e-5
"""Keeps relative errors finite at 0, as everywhere."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A surrogate on the deployments of one distribution.

    Args:
        error: Mean relative error, NaN where nothing is defined [B].
        flagged: Whether it was said to be out of distribution [B].
        refused: Whether it would have been refused [B].
        reasons: What was said [B].
    """

    error: Floats
    flagged: Flags
    refused: Flags
    reasons: tuple[str | None, ...]


def dataset(folder: Path, name: str, scenario: Scenario, rows: int, workers: int) -> Dataset:
    """Return a distribution's data set, made if it is not there.

    Args:
        folder: Where the data sets lie.
        name: Name of the distribution.
        scenario: The distribution.
        rows: Number of deployments.
        workers: Processes that simulate.

    Returns:
        The data set.
    """
    path = folder / name
    if (path / "manifest.json").exists():
        return read_dataset(path)
    config = GenerateConfig(scenario=scenario, simulation=OPTIONS, rows_per_shard=rows)
    return generate(path, config, num=rows, seed=SEED, workers=workers)


def judge(surrogate: SurrogateEvaluator, labelled: Dataset) -> Judged:
    """Compare a surrogate with labels.

    Args:
        surrogate: What is judged.
        labelled: Deployments with labels.

    Returns:
        Errors and flags.
    """
    batch, labels = labelled.batch(), labelled.measures()
    covers = surrogate.release.coverage.effects
    everything = Effect(0)
    for effect in Effect:
        everything |= effect
    lifted = replace(surrogate.release.coverage, effects=everything)
    known = SurrogateEvaluator(replace(surrogate.release, coverage=lifted)).evaluate(batch)
    error = deployment_error(known, labels, batch.owner("chain"), len(batch))
    return Judged(
        error=error,
        flagged=~np.asarray(known.deployment["in_distribution"], dtype=bool),
        refused=(batch.effects & ~int(covers)) != 0,
        reasons=known.reason,
    )


def deployment_error(
    known: Measures, labels: Measures, owner: NDArray[np.int64], deployments: int
) -> Floats:
    """Return the mean relative error of each deployment.

    Args:
        known: What is judged.
        labels: What is taken as true.
        owner: Deployment of each chain [C].
        deployments: Their number, B.

    Returns:
        Errors, NaN where no chain defines one [B].
    """
    total, count = np.zeros(deployments), np.zeros(deployments)
    for name in ("throughput_ratio", "latency_ratio"):
        true, said = labels.chain[name], known.chain[name]
        error = np.abs(said - true) / (true + RELATIVE_OFFSET)
        defined = np.isfinite(error)
        np.add.at(total, owner[defined], error[defined])
        np.add.at(count, owner[defined], 1.0)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / count)


def levels(inside: Mapping[str, Judged]) -> dict[str, float]:
    """Return the levels of the error in distribution, each distribution weighing the same."""
    errors = [part.error[np.isfinite(part.error)] for part in inside.values()]
    return {
        "mean": float(np.mean([part.mean() for part in errors])),
        "p95": float(np.mean([np.quantile(part, TAIL) for part in errors])),
    }


def row(judged: Judged, level: Mapping[str, float]) -> dict[str, Any]:
    """Return the figures of one distribution.

    Args:
        judged: The surrogate on it.
        level: Name -> level of the error in distribution.

    Returns:
        Plain figures; None stands for a share of nothing.
    """
    known = judged.error[np.isfinite(judged.error)]
    figures: dict[str, Any] = {
        "n": len(judged.error),
        "error_mean": _plain(known.mean()) if len(known) else None,
        "error_median": _plain(np.median(known)) if len(known) else None,
        "error_p95": _plain(np.quantile(known, TAIL)) if len(known) else None,
        "flagged": float(judged.flagged.mean()),
        "refused": float(judged.refused.mean()),
    }
    return figures | {name: recall([judged], value) for name, value in level.items()}


def recall(parts: Sequence[Judged], level: float) -> dict[str, Any]:
    """Say how many of the deployments with large errors are flagged.

    Args:
        parts: The surrogate on some distributions.
        level: Level of the error in distribution.

    Returns:
        Number of those beyond, the share flagged, the number of them that are not refused and the
        share of these flagged, and the share flagged or refused.
    """
    bad = np.concatenate([part.error > FACTOR * level for part in parts])
    flagged = np.concatenate([part.flagged for part in parts])
    refused = np.concatenate([part.refused for part in parts])
    return {
        "beyond": int(bad.sum()),
        "flagged": _share(flagged[bad]),
        "covered_beyond": int((bad & ~refused).sum()),
        "covered_flagged": _share(flagged[bad & ~refused]),
        "flagged_or_refused": _share((flagged | refused)[bad]),
    }


def _share(flags: Flags) -> float | None:
    return float(flags.mean()) if len(flags) else None


def _plain(value: float) -> float:
    return float(value)


def report(surrogate: SurrogateEvaluator, folder: Path, workers: int) -> dict[str, Any]:
    """Judge a surrogate inside and outside of what it was trained on.

    Args:
        surrogate: The surrogate.
        folder: Where the data sets lie, or are to lie.
        workers: Processes that simulate.

    Returns:
        Plain figures.
    """
    inside = {
        name: judge(surrogate, dataset(folder, name, scenario, INSIDE_ROWS, workers))
        for name, scenario in INSIDE.items()
    }
    outside = {
        name: judge(surrogate, dataset(folder, name, scenario, ROWS, workers))
        for name, scenario in OUTSIDE.items()
    }
    level = levels(inside)
    return {
        "levels": level,
        "inside": {name: row(part, level) for name, part in inside.items()},
        "outside": {name: row(part, level) for name, part in outside.items()},
        "false_positives": float(np.mean([part.flagged.mean() for part in inside.values()])),
        "recall": {name: recall(list(outside.values()), value) for name, value in level.items()},
    }


def result_text(found: dict[str, Any], command: str, hardware: str | None = None) -> str:
    """Return the content of a result file.

    Args:
        found: The figures.
        command: The command that gave them.
        hardware: Class of the machine; this one's by default.

    Returns:
        Markdown.
    """
    level = found["levels"]
    return "\n".join([
        *head(
            "Flags in and out of distribution",
            found["machine"],
            configuration=f"checkpoint {found['checkpoint']}; {INSIDE_ROWS} deployments of each "
            f"distribution trained on, {ROWS} of each other; simulated with {OPTIONS.offered:,.0f} "
            "arrivals of the slowest chain",
            command=command,
            hardware=hardware,
        ),
        f"Level of the error in distribution: mean {_percent(level['mean'])}, 95 % quantile "
        f"{_percent(level['p95'])}. *Beyond* are the deployments whose error exceeds twice that.",
        "",
        "| distribution | deployments | error: mean | median | 95 % | flagged | refused "
        "| beyond the mean | of these flagged | beyond the quantile | of these flagged |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *_rows(found),
        "",
        f"Flagged in distribution: {_percent(found['false_positives'])}.",
        "",
        *_summary(found),
        "",
    ])


def _rows(found: dict[str, Any]) -> Iterator[str]:
    for where in ("inside", "outside"):
        for name, figures in found[where].items():
            shown = f"**{name}**" if where == "inside" else name
            cells = [shown, str(figures["n"])]
            cells += [_percent(figures[f"error_{key}"]) for key in ("mean", "median", "p95")]
            cells += [_percent(figures[key]) for key in ("flagged", "refused")]
            for key in ("mean", "p95"):
                cells += [str(figures[key]["beyond"]), _percent(figures[key]["flagged"])]
            yield "| " + " | ".join(cells) + " |"


def _summary(found: dict[str, Any]) -> Iterator[str]:
    names = {"mean": "the mean", "p95": "the 95 % quantile"}
    for key, name in names.items():
        part = found["recall"][key]
        yield (
            f"Out of distribution, error beyond twice {name}: {part['beyond']} deployments, "
            f"{_percent(part['flagged'])} flagged by their features, "
            f"{_percent(part['flagged_or_refused'])} flagged or refused; of the "
            f"{part['covered_beyond']} that are not refused, {_percent(part['covered_flagged'])} "
            "flagged."
        )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    parser = BenchmarkParser(__doc__)
    parser.add_argument("folder", type=Path, help="where the data sets lie, or are to lie")
    parser.add_checkpoint()
    parser.add_argument("--workers", metavar="W", type=int, default=1, help="that simulate")
    given = parser.given(arguments)
    surrogate = load_surrogate(given.checkpoint)
    found = report(surrogate, given.folder, given.workers)
    found |= {"checkpoint": given.checkpoint, "machine": machine()}
    deliver("out_of_distribution", found, given, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
