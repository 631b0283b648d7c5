"""``datagen simulate``: new labels for given deployments."""

from __future__ import annotations

from datagen.commands.options import (
    Parser,
    available_cores,
    number,
    progress_bar,
    whole,
    write_json,
    write_line,
)

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: The words after its name.
    """
    parser = Parser("simulate", "Simulate the deployments of a data set or of a YAML file.")
    parser.add_argument("given", metavar="IN", help="data set, or YAML file with a placement")
    parser.add_argument("out", metavar="OUT", help="folder of the new data set, new or empty")
    parser.add_argument("--engine", choices=("auto", "numba", "simpy"), default="auto")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--horizon", metavar="H", help="simulated time, all replications [s]")
    length.add_argument("--events", metavar="N", help="expected events, all replications")
    length.add_argument("--precision", metavar="P", help="relative 95 %% half-width to reach")
    parser.add_argument("--replications", metavar="R", help="independent runs (default: 4)")
    parser.add_argument("--seed", metavar="S", help="master seed (default: 0)")
    parser.add_workers()
    parser.add_json()
    given = parser.parse_args(arguments)
    workers = whole("workers", given.workers, available_cores(), 1)
    lengths = {name: number(name, getattr(given, name)) for name in ("horizon", "events")}
    precision = number("precision", given.precision)
    replications = whole("replications", given.replications, 4, 1)
    seed = whole("seed", given.seed, 0, 0)

    from datagen.generate import simulate_dataset
    from datagen.simulator import SimulationOptions

    options = SimulationOptions(
        engine=given.engine,
        horizon=lengths["horizon"],
        events=lengths["events"],
        precision=precision,
        replications=replications,
        seed=seed,
    )
    with progress_bar(None, quiet=given.json) as progress:
        dataset = simulate_dataset(
            given.given, given.out, options, workers=workers, progress=progress
        )
    seconds = dataset.manifest["run"]["seconds"]
    if given.json:
        write_json({"path": given.out, "deployments": len(dataset), "seconds": seconds})
    else:
        write_line(f"{given.out}: {len(dataset)} deployments in {seconds:.1f} s")
