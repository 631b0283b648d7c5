"""Deployments whose measures theory knows exactly, all of them."""

from __future__ import annotations

from datagen.theory.accelerators import accelerator_cases
from datagen.theory.cases import Case
from datagen.theory.features import feature_cases
from datagen.theory.finite import finite_cases
from datagen.theory.sharing import sharing_cases
from datagen.theory.unlimited import unlimited_cases

__all__ = ["oracle_cases"]


def oracle_cases() -> tuple[Case, ...]:
    """Return every case."""
    return (
        *finite_cases(),
        *unlimited_cases(),
        *feature_cases(),
        *sharing_cases(),
        *accelerator_cases(),
    )
