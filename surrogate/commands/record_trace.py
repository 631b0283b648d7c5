"""``surrogate record-trace``: the answers of a trained early-exit network, as traces."""

from __future__ import annotations

from pathlib import Path

from datagen.commands.options import Parser, write_json, write_line

__all__ = ["main"]

FORMATS = ("npz", "parquet", "csv")

MORE = """\
OUT/calibration.* and OUT/test.* are datagen.exits.ExitTrace files: confidences and correctness at
every exit, contexts, image numbers (group), and the cost of each exit. Traces of a network of your
own come from the function surrogate.eenn.recording.record_trace.
"""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: The words after its name.
    """
    parser = Parser(
        "record-trace", "Record the traces of an early-exit network.", MORE, program="surrogate"
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a folder, or eenn-network")
    parser.add_argument("out", metavar="OUT", help="folder to write to, made if absent")
    parser.add_argument(
        "--latency",
        action="store_true",
        help="cost is the latency of an exit on this machine [s], measured now, not operations",
    )
    parser.add_argument("--format", choices=FORMATS, default="npz", help="of the files")
    parser.add_json()
    given = parser.parse_args(arguments)

    from surrogate.eenn.release import load_network, record_digits

    network, data = load_network(given.checkpoint)
    traces = record_digits(network, data, latency=given.latency)
    Path(given.out).mkdir(parents=True, exist_ok=True)
    files = {part: Path(given.out) / f"{part}.{given.format}" for part in traces}
    for part, trace in traces.items():
        trace.save(files[part])
    if given.json:
        described = {
            part: {"file": str(files[part]), "samples": trace.samples, "exits": trace.exits}
            for part, trace in traces.items()
        }
        write_json(described)
    else:
        for part, trace in traces.items():
            write_line(f"{files[part]}: {trace.samples} samples at {trace.exits} exits")
