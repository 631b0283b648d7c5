"""Fast learned evaluators of edge deployments, and searches that use them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from surrogate.threads import let_threads_sleep

if TYPE_CHECKING:
    from surrogate.evaluator import SurrogateEvaluator, load_surrogate
    from surrogate.exits.predictor import load_exit_predictor

# The one thing that happens at import: it has to come before PyTorch does, in scripts as well as in
# the program.
let_threads_sleep()

__all__ = ["SurrogateEvaluator", "load_exit_predictor", "load_surrogate"]

_HOMES = {
    "SurrogateEvaluator": "surrogate.evaluator",
    "load_exit_predictor": "surrogate.exits.predictor",
    "load_surrogate": "surrogate.evaluator",
}
"""Module of each public name: the door opens no heavy library before it is needed."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
