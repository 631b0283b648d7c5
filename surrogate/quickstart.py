"""The whole path in a few minutes: ``python -m surrogate.quickstart --runs runs/quickstart``.

Generates deployments and labels them by simulation, trains a small model, judges it beside the
released one, lets the released one search a placement, verifies that by simulation, prints one
table and writes one page. A run that was broken off goes on where it stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datagen.commands.options import available_cores, progress_bar
from datagen.errors import CorruptDataError, DatagenError, InvalidInputError
from surrogate.errors import SurrogateError

if TYPE_CHECKING:
    from surrogate.optimizers import SearchResult
    from surrogate.report import Judged

__all__ = ["main"]

MARK = ".quickstart"
"""File that tells a folder of the quickstart's own, whose content it may replace, from others."""

CLONE = Path(__file__).resolve().parent.parent
"""Where configs/ and examples/ lie: they belong to a clone, not to the installed package."""

SEARCH_SECONDS = 15.0
"""Budget of the search [s]: on small problems more time finds nothing better."""

SEED = 0
"""Seed of the search; data sets have their own."""

COLUMN = 30
"""Width of a column of the printed table; the last one holds an interval."""


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A data set of the quickstart.

    Args:
        name: Name of its folder.
        config: Configuration in ``configs/datagen``.
        num: Deployments.
        seed: Master seed.
        offered: Arrivals of the slowest chain; None keeps the configuration's.
        max_events: Most events per deployment; None keeps the configuration's.
    """

    name: str
    config: str
    num: int
    seed: int
    offered: float | None = None
    max_events: float | None = None


# Training labels are rougher than those of the shipped configurations, which a small model does not
# notice; those it is judged by are not.
PARTS = (
    _Part(name="type1", config="type1", num=4000, seed=11, offered=1500, max_events=1e5),
    _Part(name="placement", config="placement", num=1000, seed=12, offered=1500, max_events=1e5),
    _Part(name="held-out", config="type1", num=400, seed=13),
)
HELD_OUT = PARTS[-1]


@contextlib.contextmanager
def _stage(title: str) -> Iterator[None]:
    """Say on standard error what is being done and how long it took."""
    sys.stderr.write(f"quickstart: {title} ...\n")
    begin = time.perf_counter()
    yield
    sys.stderr.write(f"quickstart: {title}: {time.perf_counter() - begin:.0f} s\n")


def _claim(runs: Path) -> None:
    """Make the folder of the run, or recognise it; never touch somebody else's.

    Raises:
        InvalidInputError: If the folder holds something else.
    """
    if runs.exists() and not (runs / MARK).is_file():
        empty = runs.is_dir() and not any(runs.iterdir())
        if not empty:
            rule = "be a new or empty folder, or one of an earlier quickstart"
            raise InvalidInputError("runs", rule, str(runs))
    runs.mkdir(parents=True, exist_ok=True)
    (runs / MARK).write_text("Made by surrogate.quickstart, which may replace what is here.\n")


def _generate(part: _Part, folder: Path) -> None:
    """Generate a data set, or finish one that was begun with the same settings."""
    from datagen.generate import generate, read_config

    config = read_config(CLONE / "configs" / "datagen" / f"{part.config}.yaml")
    changes = {"offered": part.offered, "max_events": part.max_events}
    changes["counts"] = None if part.offered is None else False
    given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
    config = replace(config, simulation=replace(config.simulation, **given))
    settings: dict[str, Any] = {"num": part.num, "seed": part.seed, "workers": available_cores()}
    with progress_bar(part.num, quiet=False) as progress:
        try:
            generate(folder, config, **settings, resume=True, progress=progress)
        except (InvalidInputError, CorruptDataError):  # of other settings, or damaged
            shutil.rmtree(folder, ignore_errors=True)
            generate(folder, config, **settings, progress=progress)


def _fit(runs: Path) -> Path:
    """Train the small model by the command line's own code; return its checkpoint folder."""
    import torch

    from surrogate.commands import fit

    torch.set_num_threads(1)  # batches are small: a second thread costs more than it brings
    folder = runs / "fit"
    shutil.rmtree(folder, ignore_errors=True)
    train = [str(runs / "data" / part.name) for part in PARTS if part is not HELD_OUT]
    # Standard output is for the table; the warning is Lightning's own, about a renamed function.
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprec")
        fit.main([
            "fit",
            f"--config={CLONE / 'configs' / 'train' / 'quickstart.yaml'}",
            f"--trainer.default_root_dir={folder}",
            f"--data.train=[{','.join(train)}]",
        ])
    return folder / "release"


def _judged(name: str, checkpoint: str, dataset_path: Path) -> Judged:
    """Evaluate a checkpoint on a data set."""
    from datagen.store import read_dataset
    from surrogate.commands.evaluate import evaluate
    from surrogate.evaluator import load_surrogate
    from surrogate.report import Judged

    result = evaluate(checkpoint, str(dataset_path))
    dataset = read_dataset(dataset_path)
    batch = dataset.batch(laws=False)
    measures = load_surrogate(checkpoint).evaluate(batch)
    return Judged(
        name=name, batch=batch, measures=measures, labels=dataset.measures(), result=result
    )


def _placed(checkpoint: str) -> SearchResult:
    """Search a placement of the example with a surrogate and verify it by simulation."""
    from datagen.documents import read_problem
    from surrogate.evaluator import load_surrogate
    from surrogate.optimizers import Budget, place

    problem, start = read_problem(CLONE / "examples" / "cameras.yaml")
    budget = Budget(seconds=SEARCH_SECONDS)
    return place(problem, load_surrogate(checkpoint), budget, seed=SEED, start=start)


def table(judged: Sequence[Judged], result: SearchResult) -> str:
    """Return the one table of the quickstart.

    Args:
        judged: The models, the small one first.
        result: The search.

    Returns:
        Lines of text.
    """
    from surrogate.report.page import percent
    from surrogate.report.placement import interval

    rows = [[f"{len(judged[0].batch)} held-out deployments", *(item.name for item in judged)]]
    for target, kind, label in (
        ("throughput_ratio", "mape", "  throughput ratio, mean error"),
        ("throughput_ratio", "median", "  throughput ratio, median error"),
        ("latency_ratio", "mape", "  latency ratio, mean error"),
        ("latency_ratio", "median", "  latency ratio, median error"),
    ):
        rows.append([label, *(percent(item.result[target][kind]) for item in judged)])
    times = (f"{item.result['ms_per_deployment']:.3f} ms" for item in judged)
    rows.append(["  time per deployment, batched", *times])
    rows.append(["placement of examples/cameras.yaml", "loss ratio", "95 % interval"])
    for label, outcome in (
        ("  start, simulated", result.start),
        ("  found, predicted", result.predicted),
        ("  found, verified by simulation", result.verified),
    ):
        rows.append([label, percent(outcome.loss_ratio, 3), interval(outcome)])
    lines = [f"{row[0]:36}" + "".join(f"{cell:>{COLUMN}}" for cell in row[1:]) for row in rows]
    return "\n".join(lines) + "\n"


def _run(runs: Path, checkpoint: str) -> None:
    from surrogate.evaluator import load_surrogate

    load_surrogate(checkpoint)  # a missing model is better noticed now than in three minutes
    _claim(runs)
    for part in PARTS:
        with _stage(f"generate {part.num} deployments ({part.name})"):
            _generate(part, runs / "data" / part.name)
    with _stage("train a small model"):
        small = _fit(runs)
    held_out = runs / "data" / HELD_OUT.name
    with _stage("evaluate both models"):
        judged = [
            _judged("small model", str(small), held_out),
            _judged("released model", checkpoint, held_out),
        ]
    with _stage("search a placement and verify it"):
        result = _placed(checkpoint)
    from surrogate.report import quickstart_report

    quickstart_report(judged, result, runs / "report.html")
    sys.stdout.write(table(judged, result))
    sys.stdout.write(f"report: {runs / 'report.html'}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the quickstart.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status: 0 on success, 2 on bad input.
    """
    parser = argparse.ArgumentParser(prog="quickstart", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--runs", metavar="FOLDER", default="runs/quickstart", help="where everything is written"
    )
    parser.add_argument(
        "--checkpoint", metavar="NAME", default="chainnet", help="released model, name or folder"
    )
    given = parser.parse_args(arguments)
    begin = time.perf_counter()
    try:
        _run(Path(given.runs), given.checkpoint)
    except (DatagenError, SurrogateError) as error:
        sys.stderr.write(f"quickstart: error: {' '.join(str(error).split())}\n")
        return 2
    sys.stderr.write(f"quickstart: {time.perf_counter() - begin:.0f} s in all\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
