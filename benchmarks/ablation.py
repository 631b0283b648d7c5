"""What each part of the chain surrogate is worth, and what other graph networks make of the data.

``python benchmarks/ablation.py TRAIN JUDGED [JUDGED ...] --out FOLDER`` trains the surrogate, the
same with one part switched off, and the baselines, all on the same deployments of TRAIN in the same
order for the same number of epochs, and compares each with the labels of the JUDGED data sets. The
budget is a fraction of what released networks get: figures rank parts, they are not those of a
released network. The last weights are judged, with no choice among epochs.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch
from ablation_networks import (
    FromScratch,
    MeanOfSteps,
    NoDecompositionFeatures,
    NoPriorBase,
    PlainReadOut,
)
from frontier_entries import PredictionEvaluator, PriorEvaluator
from frontier_report import FIGURES, figure_titles, markdown, shown
from lightning.pytorch.callbacks import EMAWeightAveraging
from result_file import BenchmarkParser, deliver, head, machine

from datagen.errors import DatagenError, require
from datagen.evaluation import Evaluator
from datagen.store import read_dataset
from datagen.store.compare import compare_measures
from surrogate.errors import SurrogateError
from surrogate.models import GAT, GIN, ChainNet, DeploymentNetwork
from surrogate.training.data import DeploymentData
from surrogate.training.losses import DeploymentLoss
from surrogate.training.task import DeploymentTask

ROWS = 65_536
EPOCHS = 6
BATCH = 128
SEED = 1

NO_STEP_LABELS = {"step_passed": 0.0, "step_sojourn": 0.0}

EMA_DECAY = 0.99
"""Averages over a hundred steps or so: a short run has no more to average."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A network and how it is trained.

    Args:
        name: What to call it.
        network: Makes a fresh one.
        loss: Weights of the loss that differ from the usual ones.
        seed: Added to the seed of the run.
    """

    name: str
    network: Callable[[], DeploymentNetwork]
    loss: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0


VARIANTS = (
    Variant(name="chainnet", network=ChainNet),
    Variant(name="chainnet, another seed", network=ChainNet, seed=1),
    Variant(name="one iteration", network=lambda: ChainNet(iterations=1)),
    Variant(name="mean for attention", network=MeanOfSteps),
    Variant(name="no step labels", network=ChainNet, loss=NO_STEP_LABELS),
    Variant(name="plain read-out", network=PlainReadOut, loss=NO_STEP_LABELS),
    Variant(name="no prior to correct", network=NoPriorBase),
    Variant(name="no decomposition features", network=NoDecompositionFeatures),
    Variant(name="neither prior nor its features", network=FromScratch),
    Variant(name="gat", network=GAT),
    Variant(name="gin", network=GIN),
)


def train(variant: Variant, given: argparse.Namespace) -> DeploymentNetwork:
    """Train one variant.

    Args:
        variant: Which.
        given: Parsed arguments.

    Returns:
        The network with its averaged last weights, in evaluation mode.
    """
    lightning.seed_everything(given.seed + variant.seed, verbose=False)
    task = DeploymentTask(variant.network(), DeploymentLoss(**variant.loss))
    data = DeploymentData(
        [str(given.train)],
        validation=[str(given.judged[0])],  # loaded, never looked at: see limit_val_batches
        batch_size=given.batch,
        limit=given.rows,
    )
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=given.epochs,
        gradient_clip_val=1.0,
        limit_val_batches=0,
        callbacks=[EMAWeightAveraging(decay=EMA_DECAY)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    # Fresh weights took random numbers, more or fewer: batches come in the same order for all.
    lightning.seed_everything(given.seed + variant.seed, verbose=False)
    trainer.fit(task, datamodule=data)
    network: DeploymentNetwork = task.network
    return network.eval()


def judged(evaluator: Evaluator, folders: Sequence[Path]) -> dict[str, Any]:
    """Compare an evaluator with the labels of data sets.

    Args:
        evaluator: Who is judged.
        folders: The data sets.

    Returns:
        Errors by name of the data set and target.
    """
    errors = {}
    for folder in folders:
        dataset = read_dataset(folder)
        batch = dataset.batch(laws=False)
        said = evaluator.evaluate_batch(batch)
        report = compare_measures(batch, said, dataset.measures())
        errors[folder.name] = {target: report[target] for target, _ in FIGURES}
    return errors


def rows_of(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Train and judge everything that was asked for.

    Args:
        given: Parsed arguments.

    Returns:
        A row per network with its errors, the prior's as the first.
    """
    rows = [
        {"name": "prior alone", "parameters": 0, "seconds": 0.0}
        | {"errors": judged(PriorEvaluator(), given.judged)}
    ]
    for variant in VARIANTS:
        if given.only and variant.name not in given.only:
            continue
        began = time.process_time()
        network = train(variant, given)
        seconds = time.process_time() - began
        evaluator = PredictionEvaluator(variant.name, "surrogate", network)
        row = {
            "name": variant.name,
            "parameters": sum(weights.numel() for weights in network.parameters()),
            "seconds": seconds,
            "errors": judged(evaluator, given.judged),
        }
        rows.append(row)
        sys.stderr.write(f"{variant.name}: {seconds:.0f} s\n")
    return rows


def result_text(report: Mapping[str, Any], command: str, hardware: str | None) -> str:
    """Return the content of a result file.

    Args:
        report: Plain figures.
        command: The command that was run.
        hardware: Class of the machine; None for this one's.

    Returns:
        Markdown.
    """
    budget = report["budget"]
    lines = head(
        "Parts of the chain surrogate, and other graph networks, at a reduced equal budget",
        report["machine"],
        configuration=(
            f"{budget['rows']:,} deployments of {report['train']}, {budget['epochs']} epochs, "
            f"batches of {budget['batch']}, seed {budget['seed']}, "
            f"{budget['threads']} thread; judged are averaged last weights"
        ),
        command=command,
        hardware=hardware,
    )
    names = list(report["rows"][0]["errors"])
    for name in names:
        lines.append(f"Errors on all deployments of {name}:\n")
        cells = [
            [
                row["name"],
                *(shown(row["errors"][name], target, key) for target, key in FIGURES),
                f"{row['parameters']:,}",
                f"{row['seconds']:.0f}",
            ]
            for row in report["rows"]
        ]
        lines.append(markdown(["", *figure_titles(), "parameters", "s"], cells))
    return "\n".join([*lines, NOTE, ""])


NOTE = (
    "Each network is `chainnet` but for what its name says; the second seed shows how much is "
    "luck. Without step labels and with the plain read-out only chains are supervised. Errors are "
    "those of `surrogate evaluate`; s is processor time of training."
)


def parser() -> BenchmarkParser:
    """Return the parser of the command line."""
    made = BenchmarkParser(__doc__)
    made.add_argument("train", metavar="TRAIN", type=Path, help="labelled data set to train on")
    made.add_argument("judged", metavar="JUDGED", type=Path, nargs="+", help="others to judge on")
    made.add_argument("--rows", metavar="N", type=int, default=ROWS, help="deployments trained on")
    made.add_argument("--epochs", metavar="N", type=int, default=EPOCHS, help="passes over them")
    made.add_argument("--batch", metavar="N", type=int, default=BATCH, help="per step")
    made.add_argument("--seed", metavar="S", type=int, default=SEED, help="of weights and order")
    made.add_argument("--threads", metavar="N", type=int, default=1, help="of tensors")
    names = [variant.name for variant in VARIANTS]
    made.add_argument("--only", choices=names, action="append", help="a variant; may be repeated")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    reader = parser()
    given = reader.given(arguments)
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    try:
        for name in ("rows", "epochs", "batch", "threads"):
            require(getattr(given, name) >= 1, name, "be >= 1", getattr(given, name))
        torch.set_num_threads(given.threads)
        rows = rows_of(given)
    except (DatagenError, SurrogateError) as error:
        reader.error(str(error))
    budget = {name: getattr(given, name) for name in ("rows", "epochs", "batch", "seed", "threads")}
    report = {"train": given.train.name, "budget": budget, "rows": rows, "machine": machine()}
    deliver("ablation", report, given, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
