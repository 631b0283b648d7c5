"""Theory against simulation: exact results of queueing theory, and the engines tested by them."""

from datagen.theory.cases import FULL_JOBS, Case, Exact
from datagen.theory.oracles import oracle_cases
from datagen.theory.replications import (
    SEED,
    Z_MAX,
    EngineChoice,
    Row,
    check,
    jobs_played,
    replicate,
)

__all__ = [
    "FULL_JOBS",
    "SEED",
    "Z_MAX",
    "Case",
    "EngineChoice",
    "Exact",
    "Row",
    "check",
    "jobs_played",
    "oracle_cases",
    "replicate",
]
