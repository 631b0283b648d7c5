"""Training from a data set that does not fit into memory: peak memory and rows per second.

A set of a million Type I deployments is made by repeating the rows of a small one under new
indices. It is then streamed once as training with ``data.window`` does; every row becomes part of a
batch of 128, and the network of the released surrogate takes an optimizer step on one batch in
``--every``. Peak memory is that of the whole process, libraries
included.

    python benchmarks/streaming.py --json
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from datagen.generate import generate, read_config
from datagen.simulator import SimulationOptions
from datagen.store import DatasetWriter, read_dataset
from datagen.store.schema import INDEX

REPOSITORY = Path(__file__).resolve().parent.parent
CONFIG = REPOSITORY / "configs" / "datagen" / "type1.yaml"

ROWS, SHORT_ROWS = 1_000_000, 20_000
OWN_ROWS = 512
"""Deployments that are generated; the others repeat them."""

ROWS_PER_SHARD = 4096

GROUPS = 32
"""Row groups in a window: 32,768 deployments are shuffled together."""

BATCH = 128


def make_set(folder: Path, rows: int) -> None:
    """Write the data set; the labels are rough, because only their number matters here."""
    config = read_config(CONFIG)
    short = replace(config, simulation=SimulationOptions(offered=300, max_events=2e4))
    with tempfile.TemporaryDirectory() as small:
        own = generate(Path(small) / "own", short, num=OWN_ROWS).table()
    own = pa.concat_tables([own] * (ROWS_PER_SHARD // OWN_ROWS)).combine_chunks()
    writer = DatasetWriter(
        folder=folder,
        rows=rows,
        rows_per_shard=ROWS_PER_SHARD,
        identity={"program": "benchmarks/streaming.py", "config": {}, "seed": 0},
        source="simulation",
        level=0.95,
    )
    place = own.column_names.index(INDEX)
    for number in writer.open(resume=False):
        index = np.array(writer.rows_of(number))
        part = own.slice(0, len(index))
        writer.write(number, part.set_column(place, own.schema.field(INDEX), pa.array(index)))
    writer.close({})


def train(folder: Path, every: int) -> dict[str, float]:
    """Stream the data set once; return what it took."""
    import torch

    from surrogate.models import ChainNet
    from surrogate.training.losses import DeploymentLoss
    from surrogate.training.streamed import StreamedDeployments

    torch.set_num_threads(1)
    torch.manual_seed(0)
    network, loss = ChainNet(), DeploymentLoss()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    began, rows, steps = time.perf_counter(), 0, 0
    batches = StreamedDeployments([read_dataset(folder)], batch_size=BATCH, groups=GROUPS)
    for number, example in enumerate(batches):
        if number == 0:
            network.fit_features(example.arrays)
        rows += len(example)
        if number % every:
            continue
        optimizer.zero_grad()
        loss(network(example.arrays), example.targets)["total"].backward()
        optimizer.step()
        steps += 1
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {"rows": rows, "steps": steps, "seconds": seconds, "peak_gib": peak}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--short", action="store_true", help="twenty thousand deployments")
    parser.add_argument("--rows", metavar="N", type=int, default=ROWS, help="deployments")
    parser.add_argument(
        "--every", metavar="N", type=int, default=20, help="train on 1 in N batches"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--only-train", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.only_train is not None:
        sys.stdout.write(json.dumps(train(given.only_train, given.every)) + "\n")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "set"
        began = time.perf_counter()
        make_set(data, SHORT_ROWS if given.short else given.rows)
        seconds = time.perf_counter() - began
        size = sum(file.stat().st_size for file in data.iterdir()) / 1024**3
        words = [sys.executable, __file__, "--only-train", str(data), "--every", str(given.every)]
        child = subprocess.run(words, capture_output=True, text=True, check=True)
    report = json.loads(child.stdout) | {"disk_gib": size, "write_s": seconds}
    if given.json:
        sys.stdout.write(json.dumps(report, allow_nan=False) + "\n")
        return 0
    for name, value in report.items():
        sys.stdout.write(f"{name:<12} {value:.4g}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
