"""The card of a data set: what it holds, how it was made, how well its labels are known."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from datagen.report.target import writing
from datagen.store.reader import Dataset

__all__ = ["data_card", "write_card"]

COLUMNS = {"q0": "least", "q5": "5 %", "q50": "median", "q95": "95 %", "q100": "largest"}
"""Quantile -> title of its column."""

ROWS = (
    ("sizes", "chains", "chains per deployment"),
    ("sizes", "devices", "devices per deployment"),
    ("sizes", "path_length", "steps per path"),
    ("sizes", "capacity", "jobs that a device holds, the one in service included"),
    ("loads", "device", "offered load of a device"),
    ("losses", "chain", "loss ratio of a chain"),
    ("losses", "system", "loss ratio of a deployment"),
    ("latencies", "latency", "mean latency of a chain [s]"),
    ("latencies", "p95", "95 % quantile of its latency [s]"),
    ("precision", "offered", "jobs offered per chain"),
    ("precision", "relative_throughput_error", "relative standard error of throughput"),
    ("precision", "relative_latency_error", "relative standard error of latency"),
)
"""Section and name of a summary (:func:`~datagen.store.describe.describe_dataset`), and title."""

MADE_BY_US = "datagen generate"
"""The program whose data sets a command makes again."""

LIMITS = """\
Labels are measures of queues in steady state: devices do not fail, networks are not congested.
What is undefined, such as the latency of a chain that completes nothing, is null. Times are in
seconds, rates in 1/s, sizes in bytes. Files carry checksums (`datagen validate`). A model trained
on this is to be trusted where loads, sizes and effects are like those above."""


def data_card(dataset: Dataset, report: Mapping[str, Any], name: str) -> str:
    """Return the card of a data set.

    Args:
        dataset: The data set.
        report: What :func:`~datagen.store.describe.describe_dataset` gave for it.
        name: What to call it.

    Returns:
        Markdown.
    """
    return "\n".join([
        f"# {name}",
        "",
        *_contents(report),
        "",
        "## What is in it",
        "",
        *_table(report),
        "",
        *_shares(report),
        "",
        "## How it was made",
        "",
        *_origin(dataset.manifest, name),
        "",
        "## What to know",
        "",
        LIMITS,
        "",
    ])


def _contents(report: Mapping[str, Any]) -> Iterator[str]:
    failed = len(report["failed"])
    missing = f" {failed} more could not be simulated and are left out." if failed else ""
    labels = report["labels"]
    interval = (
        "" if labels.get("level") is None else f", with {100 * labels['level']:g} % intervals"
    )
    yield (
        f"{report['deployments']:,} deployments of neural networks on edge devices, labelled by "
        f"{labels['source']}{interval}.{missing}"
    )


def _table(report: Mapping[str, Any]) -> Iterator[str]:
    yield "| | " + " | ".join(COLUMNS.values()) + " |"
    yield "|---" * (1 + len(COLUMNS)) + "|"
    for section, key, title in ROWS:
        found = report[section][key]
        if found["n"]:
            yield f"| {title} | " + " | ".join(f"{found[q]:.4g}" for q in COLUMNS) + " |"


def _shares(report: Mapping[str, Any]) -> Iterator[str]:
    flags = {k: v for k, v in report["precision"].items() if not isinstance(v, dict)}
    for title, shares in (
        ("Largest load on the devices of a chain", report["loads"]["regimes"]),
        ("Effects besides plain queues", report["effects"]),
        ("Labels", flags),
    ):
        known = {key: share for key, share in shares.items() if share is not None}
        text = ", ".join(f"{key.replace('_', ' ')} {100 * x:.1f} %" for key, x in known.items())
        yield f"- {title}: {text or 'none'}."


def _origin(manifest: Mapping[str, Any], name: str) -> Iterator[str]:
    program = manifest.get("program")
    yield f"Written by `{program}` with the master seed {manifest.get('seed')}."
    versions = ", ".join(f"{key} {value}" for key, value in manifest.get("versions", {}).items())
    if versions:
        yield f"Versions: {versions}."
    if program == MADE_BY_US:
        count = manifest["rows"]
        yield ""
        yield (
            f"With the configuration below in a file, `datagen generate {name} --config FILE "
            f"--num {count} --seed {manifest['seed']}` makes the same rows again, "
            f"`datagen reproduce {name} --index I` one of them."
        )
    if manifest.get("config"):  # JSON is YAML, so this can be given to --config
        yield ""
        yield "```json"
        yield json.dumps(_given(manifest["config"]), indent=2)
        yield "```"


def _given(config: Any) -> Any:
    """Return a configuration without what was left open."""
    if isinstance(config, Mapping):
        return {key: _given(value) for key, value in config.items() if value is not None}
    return config


def write_card(dataset: Dataset, report: Mapping[str, Any], path: str | Path) -> None:
    """Write the card of a data set.

    Args:
        dataset: The data set.
        report: What :func:`~datagen.store.describe.describe_dataset` gave for it.
        path: The Markdown file.

    Raises:
        InvalidInputError: If it cannot be written.
    """
    with writing(Path(path), "card"):
        Path(path).write_text(data_card(dataset, report, Path(dataset.path).name), encoding="utf-8")
