"""Searches for good deployments: any search, any evaluator, every winner verified by simulation."""

from surrogate.optimizers.annealing import Annealing
from surrogate.optimizers.budget import Budget
from surrogate.optimizers.driver import optimize
from surrogate.optimizers.objective import Objective, SystemLoss
from surrogate.optimizers.place import place
from surrogate.optimizers.random_search import RandomSearch
from surrogate.optimizers.result import Outcome, SearchResult
from surrogate.optimizers.search import Search
from surrogate.optimizers.space import PlacementSpace

__all__ = [
    "Annealing",
    "Budget",
    "Objective",
    "Outcome",
    "PlacementSpace",
    "RandomSearch",
    "Search",
    "SearchResult",
    "SystemLoss",
    "optimize",
    "place",
]
