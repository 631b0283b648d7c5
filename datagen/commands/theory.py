"""``datagen theory``: exact results of queueing theory against both engines."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from datagen.commands.options import Parser, progress_bar, write_json, write_line

if TYPE_CHECKING:
    from datagen.theory import EngineChoice, Row

__all__ = ["main"]

ENGINES: dict[str, tuple[EngineChoice, ...]] = {
    "both": ("numba", "simpy"),
    "numba": ("numba",),
    "simpy": ("simpy",),
}

DISAGREED = 1
"""Status where some measure is not what theory says: the program is at fault, not its input."""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: The words after its name.

    Raises:
        SystemExit: With ``DISAGREED`` if a measure is not what theory says.
    """
    parser = Parser("theory", "Compare the engines with exact results of queueing theory.")
    parser.add_argument("--short", action="store_true", help="a tenth to a fifth of the jobs")
    parser.add_argument("--engine", choices=tuple(ENGINES), default="both")
    parser.add_json()
    given = parser.parse_args(arguments)

    from datagen.theory import check, oracle_cases

    cases, engines = oracle_cases(), ENGINES[given.engine]
    began = time.perf_counter()
    rows: list[Row] = []
    with progress_bar(len(cases) * len(engines), quiet=given.json) as progress:
        for case in cases:
            for engine in engines:
                rows += check([case], engine, given.short)
                progress(1)
    failed = sum(not row.passed for row in rows)
    if given.json:
        seconds = time.perf_counter() - began
        write_json({
            "rows": [asdict(row) for row in rows],
            "failed": failed,
            "short": given.short,
            "seconds": seconds,
        })
    else:
        _write_table(rows, failed)
    if failed:
        raise SystemExit(DISAGREED)


def _write_table(rows: list[Row], failed: int) -> None:
    widest = max(len(row.case) for row in rows)
    titles = ("estimate", "s.e.", "exact", "z")
    head = f"{'case':<{widest}} {'engine':<6} {'measure':<17}"
    write_line(head + "".join(f"{title:>12}" for title in titles))
    for row in rows:
        numbers = "".join(f"{x:>12.6g}" for x in (row.estimate, row.standard_error, row.exact))
        z = "-" if row.z is None else f"{row.z:.2f}"
        where = f"{row.name}.{row.measure}"
        mark = "" if row.passed else "  disagrees"
        write_line(f"{row.case:<{widest}} {row.engine:<6} {where:<17}{numbers}{z:>12}{mark}")
    write_line(f"{len(rows) - failed} of {len(rows)} agree with theory")
