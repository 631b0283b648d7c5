"""``datagen simulate``: new labels for given deployments."""

from __future__ import annotations

import argparse
from typing import Any

from datagen.commands.options import (
    Parser,
    available_cores,
    number,
    progress_bar,
    whole,
    write_json,
    write_line,
)
from datagen.errors import require

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: The words after its name.
    """
    parser = Parser("simulate", "Simulate the deployments of a data set or of a YAML file.")
    parser.add_argument("given", metavar="IN", help="data set, or YAML file with a placement")
    parser.add_argument("out", metavar="OUT", help="folder of the new data set, new or empty")
    unseen = "leave out deployments whose topology occurs in this data set; may be repeated"
    parser.add_argument("--unseen-by", metavar="DATASET", action="append", default=[], help=unseen)
    parser.add_argument("--engine", choices=("auto", "numba", "simpy"), default="auto")
    _add_length(parser)
    parser.add_argument("--replications", metavar="R", help="independent runs (default: 4)")
    warmup = "share of each run not counted, or mser5 (default: 0.05)"
    parser.add_argument("--warmup", metavar="SHARE", help=warmup)
    settle = "relaxation times of the slowest device that every run warms up at least (default: 0)"
    parser.add_argument("--settle", metavar="N", help=settle)
    windows = "report on W equal parts of the time apart (1, 2, 4, 8, 16 or 32)"
    parser.add_argument("--windows", metavar="W", help=windows)
    parser.add_argument("--seed", metavar="S", help="master seed (default: 0)")
    parser.add_workers()
    parser.add_json()
    given = parser.parse_args(arguments)
    workers = whole("workers", given.workers, available_cores(), 1)
    content = _options(given)

    from datagen.generate import simulate_dataset
    from datagen.simulator import SimulationOptions

    options = SimulationOptions(engine=given.engine, **content)
    with progress_bar(None, quiet=given.json) as progress:
        dataset = simulate_dataset(
            given.given,
            given.out,
            options,
            unseen_by=given.unseen_by,
            workers=workers,
            progress=progress,
        )
    seconds = dataset.manifest["run"]["seconds"]
    if given.json:
        write_json({"path": given.out, "deployments": len(dataset), "seconds": seconds})
    else:
        write_line(f"{given.out}: {len(dataset)} deployments in {seconds:.1f} s")


def _add_length(parser: Parser) -> None:
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--horizon", metavar="H", help="simulated time, all replications [s]")
    length.add_argument("--events", metavar="N", help="expected events, all replications")
    offered = "expected arrivals of the slowest chain, all replications"
    length.add_argument("--offered", metavar="N", help=offered)
    length.add_argument("--precision", metavar="P", help="relative 95 %% half-width to reach")
    counts = "go on until every chain has the jobs of --min-offered and --min-completed"
    length.add_argument("--counts", action="store_true", help=counts)
    loss = "the same for loss ratios, unless they are below 1e-4"
    parser.add_argument("--loss-precision", metavar="P", help=loss)
    parser.add_argument("--min-offered", metavar="N", help="jobs per chain (default: 10,000)")
    parser.add_argument("--min-completed", metavar="N", help="of these completed (default: 1,000)")
    most = "expected events that --offered, --precision and --counts never exceed (default: 1e8)"
    parser.add_argument("--max-events", metavar="N", help=most)


def _options(given: argparse.Namespace) -> dict[str, Any]:
    """Return the options that were given, by the names of the simulator."""
    content: dict[str, Any] = {"counts": given.counts}
    lengths = ("horizon", "events", "offered", "precision", "loss_precision")
    for name in (*lengths, "settle", "max_events"):
        content[name] = number(_flag(name), getattr(given, name))
    for name, least in (("min_offered", 1), ("min_completed", 0), ("replications", 1)):
        if getattr(given, name) is not None:
            content[name] = whole(_flag(name), getattr(given, name), 0, least)
    for name in ("min_offered", "min_completed"):
        wanted = content["counts"] or name not in content
        require(wanted, _flag(name), "go with --counts", getattr(given, name))
    if given.windows is not None:
        content["windows"] = whole("windows", given.windows, 0, 1)
    if given.warmup is not None:
        text = given.warmup
        content["warmup"] = text if text.isidentifier() else number("warmup", text)
    content["seed"] = whole("seed", given.seed, 0, 0)
    return {name: value for name, value in content.items() if value is not None}


def _flag(name: str) -> str:
    return name.replace("_", "-")
