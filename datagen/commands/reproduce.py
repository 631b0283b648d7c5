"""``datagen reproduce``: one row of a data set made again, bit for bit."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from datagen.commands.options import Parser, whole, write_json, write_line

if TYPE_CHECKING:
    from datagen.generate.reproduce import Reproduction

__all__ = ["main"]

DIFFERENT = 1
"""Status where the row is not what the data set holds."""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: The words after its name.

    Raises:
        SystemExit: With ``DIFFERENT`` if the row is not the one stored.
    """
    parser = Parser("reproduce", "Make one row again and compare it with the one stored.")
    parser.add_argument("path", metavar="PATH", help="data set, or a part of one")
    parser.add_argument("--index", metavar="I", required=True, help="the row")
    parser.add_json()
    given = parser.parse_args(arguments)
    index = whole("index", given.index, 0, 0)

    from datagen.generate.reproduce import reproduce

    found = reproduce(given.path, index)
    if given.json:
        write_json({
            "index": index,
            "identical": not found.different,
            "different": list(found.different),
            "versions": {name: list(pair) for name, pair in found.versions.items()},
            "deployment": json.loads(found.deployment),
            "chains": _chains(found),
        })
    else:
        write_line(f"row {index}: {_verdict(found)}")
        for number, chain in enumerate(_chains(found)):
            known = (f"{name} {value:.6g}" for name, value in chain.items() if value is not None)
            write_line(f"  chain {number}: {', '.join(known)}")
    if found.different:
        raise SystemExit(DIFFERENT)


def _verdict(found: Reproduction) -> str:
    if not found.different:
        return "the same, bit for bit"
    changed = "; ".join(f"{name} was {a}, is {b}" for name, (a, b) in found.versions.items())
    why = f" (other versions: {changed})" if changed else ""
    return f"different in {', '.join(found.different)}{why}"


def _chains(found: Reproduction) -> list[dict[str, Any]]:
    columns = found.measures.chain
    rows = (
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    )
    return [
        {name: None if math.isnan(value) else float(value) for name, value in row.items()}
        for row in rows
    ]
