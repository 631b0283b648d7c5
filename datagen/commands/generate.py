"""``datagen generate``: a labelled data set from a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datagen.commands.options import (
    Parser,
    available_cores,
    number,
    progress_bar,
    whole,
    write_json,
    write_line,
)
from datagen.errors import InvalidInputError, require

if TYPE_CHECKING:
    from datagen.generate import Executor

__all__ = ["main"]

MORE = """\
On a cluster, either let the workers of a running Dask scheduler do the work
(--executor dask --scheduler tcp://HOST:8786), or give every task of a job array a part
(--part $SLURM_ARRAY_TASK_ID/8 with --array=1-8, each into a folder of its own) and put the parts
together with datagen merge. Every way gives the same bytes; docs/generation.md says more.
"""


def _parser() -> Parser:
    parser = Parser(
        "generate", "Draw deployments, simulate them and write a labelled data set.", epilog=MORE
    )
    parser.add_argument("out", metavar="OUT", help="folder of the data set, new or empty")
    parser.add_argument("--config", metavar="FILE", required=True, help="YAML configuration")
    parser.add_argument("--num", metavar="N", required=True, help="number of deployments")
    parser.add_argument("--seed", metavar="S", help="master seed (default: 0)")
    parser.add_workers()
    parser.add_argument(
        "--resume", action="store_true", help="go on with an unfinished run, or start one"
    )
    parser.add_argument(
        "--retry-failed",
        action="store_true",
        help="resume, and try the deployments again that failed",
    )
    parser.add_argument(
        "--max-failures",
        metavar="M",
        help="end the run when more deployments fail (default: 1 %%, at least 10)",
    )
    parser.add_argument(
        "--timeout",
        metavar="S",
        help="seconds after which the worker of a deployment is killed, and it is tried again, "
        "three times in all (default: no limit)",
    )
    parser.add_argument("--part", metavar="I/N", help="write only the I-th of N parts, from 1 on")
    parser.add_argument("--executor", choices=("local", "dask"), default="local")
    parser.add_argument("--scheduler", metavar="ADDR", help="address of the Dask scheduler")
    parser.add_json()
    return parser


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: The words after its name.
    """
    given = _parser().parse_args(arguments)
    num = whole("num", given.num, 0, 1)
    seed = whole("seed", given.seed, 0, 0)
    workers = whole("workers", given.workers, available_cores(), 1)
    most = None if given.max_failures is None else whole("max-failures", given.max_failures, 0, 0)
    timeout = number("timeout", given.timeout)
    part = _part(given.part)
    dask = given.executor == "dask"
    require(dask == (given.scheduler is not None), "scheduler", RULE[dask], given.scheduler)

    from datagen.generate import CampaignLimits, generate, read_config

    config = read_config(given.config)
    limits = CampaignLimits(
        resume=given.resume, retry_failed=given.retry_failed, most_failures=most
    )
    executor = _executor(workers, timeout, given.scheduler)
    with progress_bar(num if part is None else None, quiet=given.json) as progress:
        dataset = generate(
            given.out,
            config,
            num=num,
            seed=seed,
            part=part or (1, 1),
            executor=executor,
            limits=limits,
            progress=progress,
        )
    seconds = dataset.manifest["run"]["seconds"]
    failed = len(dataset.failed)
    if given.json:
        report = {"path": given.out, "deployments": len(dataset), "failed": failed}
        write_json(report | {"seconds": seconds})
        return
    write_line(f"{given.out}: {len(dataset)} deployments in {seconds:.1f} s")
    if failed:
        write_line(f"{failed} failed: datagen describe lists them, --retry-failed tries them again")


RULE = {
    True: "be given with --executor dask",
    False: "be left out without --executor dask",
}


def _part(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    number_, slash, parts = text.partition("/")
    if not (slash and number_.isdecimal() and parts.isdecimal()):
        raise InvalidInputError("part", "be i/n with 1 <= i <= n", text)
    return int(number_), int(parts)


def _executor(workers: int, timeout: float | None, scheduler: str | None) -> Executor:
    if scheduler is None:
        from datagen.generate import local

        return local(workers, timeout)
    from datagen.generate.cluster import DaskCluster

    return DaskCluster(scheduler, timeout)
