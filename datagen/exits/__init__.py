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
from datagen.exits.likeness import Likeness, compare_traces
from datagen.exits.trace import ExitTrace

__all__ = [
    "CONTEXTS",
    "CONTEXT_NAMES",
    "ContextSchedule",
    "ContextSwitching",
    "Contexts",
    "ExitMix",
    "ExitTrace",
    "Likeness",
    "Thresholds",
    "clustered_error",
    "compare_traces",
    "contexts_from_parameters",
]
