"""``datagen generate``: a labelled data set from a configuration."""

from __future__ import annotations

from datagen.commands.options import (
    Parser,
    available_cores,
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
    parser = Parser("generate", "Draw deployments, simulate them and write a labelled data set.")
    parser.add_argument("out", metavar="OUT", help="folder of the data set, new or empty")
    parser.add_argument("--config", metavar="FILE", required=True, help="YAML configuration")
    parser.add_argument("--num", metavar="N", required=True, help="number of deployments")
    parser.add_argument("--seed", metavar="S", help="master seed (default: 0)")
    parser.add_workers()
    parser.add_argument("--resume", action="store_true", help="go on with an unfinished run")
    parser.add_json()
    given = parser.parse_args(arguments)
    num = whole("num", given.num, 0, 1)
    seed = whole("seed", given.seed, 0, 0)
    workers = whole("workers", given.workers, available_cores(), 1)

    from datagen.generate import generate, read_config

    config = read_config(given.config)
    with progress_bar(num, quiet=given.json) as progress:
        dataset = generate(
            given.out,
            config,
            num=num,
            seed=seed,
            workers=workers,
            resume=given.resume,
            progress=progress,
        )
    seconds = dataset.manifest["run"]["seconds"]
    if given.json:
        write_json({"path": given.out, "deployments": len(dataset), "seconds": seconds})
    else:
        write_line(f"{given.out}: {len(dataset)} deployments in {seconds:.1f} s")
