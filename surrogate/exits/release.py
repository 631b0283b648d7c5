"""From a finished training run of an exit predictor to a released checkpoint with a card."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from datagen.exits import ExitTrace
from datagen.exits.counts import count_exits
from surrogate.exits.draws import random_thresholds
from surrogate.exits.families import NetworkFamily
from surrogate.exits.family_data import MOST_SAMPLES, TRUTH_SAMPLES, FamilyData
from surrogate.exits.few_shot_network import FewShotNet
from surrogate.exits.judging import contexts_of, errors, judge
from surrogate.exits.predictor import FewShotPredictor, TracePredictor, save_exit_predictor
from surrogate.exits.trace_data import TraceData
from surrogate.exits.trace_network import TraceNet
from surrogate.folders import best_state

__all__ = [
    "SAMPLE_COUNTS",
    "judge_few_shot",
    "release_few_shot",
    "release_trace",
    "unseen_networks",
]

JUDGED_VECTORS = 2_000
"""Vectors of thresholds per context that a release is judged by."""

JUDGED_SEED = 20_261
"""Not among the seeds of training."""

SAMPLE_COUNTS = (25, 50, 100, 400)
"""Numbers of recorded samples that adapting is judged at."""

DRAWS = 8
"""Random sets of samples of each size, per context."""


def release_trace(
    checkpoint: Path, network: TraceNet, data: TraceData, folder: Path
) -> dict[str, Any]:
    """Write the weights of a run as a released checkpoint.

    Args:
        checkpoint: The run's ``.ckpt`` file.
        network: A network of the run's class and settings; its weights are replaced.
        data: The run's data.
        folder: Where to write.

    Returns:
        The metrics written: on held-out samples, if ``data`` names any.
    """
    network.load_state_dict(best_state(checkpoint))
    network.cpu().eval()
    calibration = ExitTrace.load(data.trace)
    metrics: dict[str, Any] = {
        "trained_on": {
            "trace": Path(data.trace).name,
            "sha256": _hash(data.trace),
            "samples": calibration.samples,
            "contexts": max(calibration.contexts, 1),
            "unseen_contexts": data.unseen_contexts,
            "vectors": data.vectors,
        },
        "parameters": sum(values.numel() for values in network.parameters()),
    }
    if data.test is not None:
        predictor = TracePredictor(folder.name, network, {})
        test = ExitTrace.load(data.test)
        metrics["held_out"] = {
            "trace": Path(data.test).name,
            "sha256": _hash(data.test),
            "samples": test.samples,
            **judge(
                predictor.predict,
                calibration,
                test,
                vectors=JUDGED_VECTORS,
                seed=JUDGED_SEED,
                unseen=data.unseen_contexts,
            ),
        }
    card = _trace_card(folder.name, network, metrics)
    save_exit_predictor(folder, network, metrics=metrics, card=card)
    return metrics


def release_few_shot(
    checkpoint: Path, network: FewShotNet, data: FamilyData, folder: Path
) -> dict[str, Any]:
    """Write the weights of a run as a released checkpoint.

    Args:
        checkpoint: The run's ``.ckpt`` file.
        network: A network of the run's class and settings; its weights are replaced.
        data: The run's data.
        folder: Where to write.

    Returns:
        The metrics written: on networks of the same family that were not trained on.
    """
    network.load_state_dict(best_state(checkpoint))
    network.cpu().eval()
    predictor = FewShotPredictor(folder.name, network, {})
    metrics = {
        "trained_on": {"networks": data.networks, "exits": list(data.family.exits)},
        "parameters": sum(values.numel() for values in network.parameters()),
        "unseen_networks": judge_few_shot(
            predictor, unseen_networks(data.family, 40, JUDGED_SEED), JUDGED_SEED
        ),
    }
    card = _few_shot_card(folder.name, metrics)
    save_exit_predictor(folder, network, metrics=metrics, card=card)
    return metrics


def unseen_networks(
    family: NetworkFamily, count: int, seed: int
) -> list[tuple[ExitTrace, ExitTrace]]:
    """Draw networks to adapt to.

    Args:
        family: Distribution of the networks.
        count: How many.
        seed: Seed, other than that of the training.

    Returns:
        Samples to adapt with and samples to judge by, of each.
    """
    pairs = []
    for stream in np.random.SeedSequence(seed).spawn(count):
        rng = np.random.default_rng(stream)
        exits = int(rng.integers(family.exits[0], family.exits[1] + 1))
        whole = family.draw(TRUTH_SAMPLES + MOST_SAMPLES, exits, rng)
        rows = (slice(MOST_SAMPLES), slice(MOST_SAMPLES, None))
        parts = [
            ExitTrace(name="part", confidences=whole.confidences[r], correct=whole.correct[r])
            for r in rows
        ]
        pairs.append((parts[0], parts[1]))
    return pairs


def judge_few_shot(
    predictor: FewShotPredictor,
    networks: list[tuple[ExitTrace, ExitTrace]],
    seed: int,
    *,
    draws: int = 1,
    vectors: int = 100,
) -> list[dict[str, Any]]:
    """Compare adapted predictions with the table of the same few samples.

    Args:
        predictor: The predictor.
        networks: Samples to adapt with and samples to judge by, of each network; every context
            counts as a network of its own.
        seed: Seed of samples and thresholds.
        draws: Random sets of samples of each size, per network.
        vectors: Vectors of thresholds for each of them.

    Returns:
        One row per number of samples: mean errors.
    """
    rows = []
    for count in SAMPLE_COUNTS:
        rng = np.random.default_rng([seed, count])
        found: list[dict[str, float]] = []
        for known, held_out in networks:
            for context in contexts_of(known):
                own = np.arange(known.samples)
                own = own if context is None else np.flatnonzero(known.context == context)
                for _ in range(draws):
                    chosen = rng.choice(own, min(count, len(own)), replace=False)
                    few = ExitTrace(
                        name="few",
                        confidences=known.confidences[chosen],
                        correct=known.correct[chosen],
                    )
                    tau = random_thresholds(known.confidences[own], vectors, rng)
                    true = count_exits(held_out, tau, context)
                    own_table = errors(count_exits(few, tau), true)
                    adapted = errors(predictor.adapted(few).predict(tau), true)
                    found.append({
                        "exit_mix_mae": adapted["mix"],
                        "exit_mix_mae_empirical_table": own_table["mix"],
                        "accuracy_mae": adapted["accuracy"],
                        "accuracy_mae_empirical_table": own_table["accuracy"],
                    })
        means = {name: float(np.mean([row[name] for row in found])) for name in found[0]}
        rows.append({"samples": count, "networks": len(found), **means})
    return rows


def _hash(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _trace_card(name: str, network: TraceNet, metrics: dict[str, Any]) -> str:
    """Return the model card of a predictor of one network."""
    trained = metrics["trained_on"]
    lines = [
        f"# {name}",
        "",
        "Causal transformer that predicts, for thresholds of one early-exit network, the share of",
        "samples that leaves at each exit, their accuracy and their mean confidence.",
        "",
        f"The network has {network.exits} exits and {network.contexts} contexts. Trained on",
        f"{trained['vectors']} random vectors of thresholds over {trained['samples']} recorded",
        f"samples ({trained['trace']}); {metrics['parameters']} parameters.",
        "",
    ]
    held_out = metrics.get("held_out")
    if held_out is not None:
        lines += [
            "Mean absolute errors against the counts of held-out samples, for other thresholds:",
            "",
            "| context | exit mix | its table | independent exits | accuracy | its table |",
            "|---|---|---|---|---|---|",
        ]
        names = ["exit_mix_mae", "exit_mix_mae_empirical_table", "exit_mix_mae_independence"]
        names += ["accuracy_mae", "accuracy_mae_empirical_table"]
        for row in [*held_out["by_context"], {"context": "mean", "trained_on": True, **held_out}]:
            note = "" if row["trained_on"] else " (not trained in)"
            cells = " | ".join(f"{row[key]:.4f}" for key in names)
            lines.append(f"| {row['context']}{note} | {cells} |")
        lines += [
            "",
            f"Tables of two disjoint sets of images of these sizes differ by "
            f"{held_out['exit_mix_noise_floor']:.4f} (exit mix) and "
            f"{held_out['accuracy_noise_floor']:.4f} (accuracy).",
            "",
        ]
    return "\n".join(lines)


def _few_shot_card(name: str, metrics: dict[str, Any]) -> str:
    """Return the model card of a predictor that adapts."""
    trained = metrics["trained_on"]
    low, high = trained["exits"]
    lines = [
        f"# {name}",
        "",
        "Causal transformer that predicts, for thresholds of an early-exit network it has not been",
        "trained on, who leaves where, from a few recorded samples of that network.",
        "",
        f"Trained on {trained['networks']} made-up networks with {low} to {high} exits;",
        f"{metrics['parameters']} parameters.",
        "",
        "Mean absolute errors on made-up networks that were not trained on, beside the empirical",
        "table of the same samples:",
        "",
        "| samples | exit mix | empirical table | accuracy | empirical table |",
        "|---|---|---|---|---|",
    ]
    names = ["exit_mix_mae", "exit_mix_mae_empirical_table"]
    names += ["accuracy_mae", "accuracy_mae_empirical_table"]
    for row in metrics["unseen_networks"]:
        cells = " | ".join(f"{row[key]:.4f}" for key in names)
        lines.append(f"| {row['samples']} | {cells} |")
    return "\n".join([*lines, ""])
