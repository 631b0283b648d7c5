"""Early exits: traces of a classifier's confidences, contexts that change, and decisions."""

from datagen.exits.clustering import clustered_error
from datagen.exits.contexts import (
    CONTEXT_NAMES,
    CONTEXTS,
    Contexts,
    ContextSchedule,
    ContextSwitching,
    contexts_from_parameters,
)
from datagen.exits.decisions import ExitMix, Thresholds
from datagen.exits.trace import ExitTrace

__all__ = [
    "CONTEXTS",
    "CONTEXT_NAMES",
    "ContextSchedule",
    "ContextSwitching",
    "Contexts",
    "ExitMix",
    "ExitTrace",
    "Thresholds",
    "clustered_error",
    "contexts_from_parameters",
]
