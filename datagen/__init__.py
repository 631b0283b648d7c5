"""Simulation of deep-network services on small edge devices, and labelled data sets made by it.

The names below load their modules when they are first used, so that importing the package (and the
``--help`` of every command) costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datagen.deployment import (
        BatchConfig,
        Chain,
        Deployment,
        Device,
        Exit,
        Fragment,
        Link,
        Npu,
        Problem,
        Variant,
    )
    from datagen.documents import document_of, from_json, read_problem, to_json, to_yaml
    from datagen.errors import CorruptDataError, DatagenError, InvalidInputError, NotSupportedError
    from datagen.evaluation import Candidates, DeploymentBatch, Evaluator, Measures, pack
    from datagen.exits import ContextSchedule, ContextSwitching, ExitMix, ExitTrace, Thresholds
    from datagen.simulator import simulate
    from datagen.store import Dataset, read_dataset

_HOMES: dict[str, tuple[str, ...]] = {
    "deployment": (
        "BatchConfig",
        "Chain",
        "Deployment",
        "Device",
        "Exit",
        "Fragment",
        "Link",
        "Npu",
        "Problem",
        "Variant",
    ),
    "documents": ("document_of", "from_json", "read_problem", "to_json", "to_yaml"),
    "errors": ("CorruptDataError", "DatagenError", "InvalidInputError", "NotSupportedError"),
    "evaluation": ("Candidates", "DeploymentBatch", "Evaluator", "Measures", "pack"),
    "exits": ("ContextSchedule", "ContextSwitching", "ExitMix", "ExitTrace", "Thresholds"),
    "simulator": ("simulate",),
    "store": ("Dataset", "read_dataset"),
}
"""Module -> the names that the package offers from it."""

_HOME = {name: f"datagen.{module}" for module, names in _HOMES.items() for name in names}

__all__ = [
    "BatchConfig",
    "Candidates",
    "Chain",
    "ContextSchedule",
    "ContextSwitching",
    "CorruptDataError",
    "DatagenError",
    "Dataset",
    "Deployment",
    "DeploymentBatch",
    "Device",
    "Evaluator",
    "Exit",
    "ExitMix",
    "ExitTrace",
    "Fragment",
    "InvalidInputError",
    "Link",
    "Measures",
    "NotSupportedError",
    "Npu",
    "Problem",
    "Thresholds",
    "Variant",
    "document_of",
    "from_json",
    "pack",
    "read_dataset",
    "read_problem",
    "simulate",
    "to_json",
    "to_yaml",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'datagen' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
