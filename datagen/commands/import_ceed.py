"""``datagen import-ceed``: CEED's measured profile of an early-exit network as a deployment."""

from __future__ import annotations

from datagen.commands.options import Parser, number, whole, write_json, write_line
from datagen.errors import InvalidInputError

__all__ = ["main"]

RATE = 1.0
"""Arrivals [1/s] unless said otherwise: 0.8 of what the published network's device serves."""

MORE = """\
Times are log-normal by the measured mean and variance; outputs are bytes on the wire; the memory of
the model is split by the parameters of its layers. The document has one device, on which all
classifiers are open; add devices, links, traces and thresholds to it as you like.
"""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: The words after its name.
    """
    parser = Parser("import-ceed", "Import a measured profile in CEED's format.", epilog=MORE)
    parser.add_argument("model", metavar="MODEL.json", help="where its gates are")
    parser.add_argument("system", metavar="SYSTEM.json", help="times and sizes of its layers")
    parser.add_argument("out", metavar="OUT.yaml", help="document to write")
    parser.add_argument("--rate", metavar="R", help=f"arrivals [1/s] (default: {RATE:g})")
    parser.add_argument("--capacity", metavar="K", help="buffer of the device (default: 10)")
    parser.add_argument(
        "--mix", metavar="P,P,...", help="share of the jobs that leave at each gate"
    )
    parser.add_argument(
        "--layers", action="store_true", help="one fragment per layer, not per gate"
    )
    parser.add_json()
    given = parser.parse_args(arguments)

    from datagen.profiles.ceed import CAPACITY, import_ceed

    rate = number("rate", given.rate)
    deployment = import_ceed(
        given.model,
        given.system,
        given.out,
        rate=RATE if rate is None else rate,
        capacity=whole("capacity", given.capacity, CAPACITY, 1),
        mix=None if given.mix is None else _shares(given.mix),
        by_layer=given.layers,
    )
    fragments = len(deployment.problem.chains[0].fragments)
    if given.json:
        write_json({"path": given.out, "fragments": fragments})
    else:
        write_line(f"{given.out}: {fragments} fragments")


def _shares(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise InvalidInputError("mix", "be numbers with commas between", text) from None
