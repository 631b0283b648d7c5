"""Searches for good deployments: any search, any evaluator, every winner verified by simulation."""

from surrogate.optimizers.annealing import Annealing
from surrogate.optimizers.bayesian import BayesianSearch
from surrogate.optimizers.budget import Budget
from surrogate.optimizers.constraints import (
    AccuracyFloor,
    AttainmentFloor,
    Constraint,
    LatencyLimit,
    LossLimit,
)
from surrogate.optimizers.decision_space import DecisionSpace
from surrogate.optimizers.driver import optimize
from surrogate.optimizers.evolution import GeneticSearch, NondominatedSearch
from surrogate.optimizers.gradient import GradientSearch
from surrogate.optimizers.integer_program import IntegerPlacement, integer_placement
from surrogate.optimizers.local_search import LocalSearch
from surrogate.optimizers.objective import (
    Energy,
    Latency,
    MissedDeadlines,
    Mix,
    Objective,
    SystemLoss,
    TailLatency,
    Throughput,
)
from surrogate.optimizers.place import place
from surrogate.optimizers.random_search import RandomSearch
from surrogate.optimizers.reconfiguration import reconfigure
from surrogate.optimizers.reconfiguration_result import Reconfiguration
from surrogate.optimizers.result import Outcome, SearchResult
from surrogate.optimizers.rules import RuleSearch
from surrogate.optimizers.screening import ScreenedAnnealing
from surrogate.optimizers.search import Search
from surrogate.optimizers.space import PlacementSpace
from surrogate.optimizers.split_task import Layer, Split, SplitTask, read_split_task, split_task
from surrogate.optimizers.splitting import min_cut, neurosurgeon
from surrogate.optimizers.state import SearchState
from surrogate.optimizers.threshold_result import ThresholdResult
from surrogate.optimizers.threshold_search import Evolution, GradientAscent
from surrogate.optimizers.thresholds import tune_thresholds
from surrogate.optimizers.tuning import tune_jointly, tune_npu
from surrogate.optimizers.variation import VariationSearch
from surrogate.optimizers.workload import distribute

__all__ = [
    "AccuracyFloor",
    "Annealing",
    "AttainmentFloor",
    "BayesianSearch",
    "Budget",
    "Constraint",
    "DecisionSpace",
    "Energy",
    "Evolution",
    "GeneticSearch",
    "GradientAscent",
    "GradientSearch",
    "IntegerPlacement",
    "Latency",
    "LatencyLimit",
    "Layer",
    "LocalSearch",
    "LossLimit",
    "MissedDeadlines",
    "Mix",
    "NondominatedSearch",
    "Objective",
    "Outcome",
    "PlacementSpace",
    "RandomSearch",
    "Reconfiguration",
    "RuleSearch",
    "ScreenedAnnealing",
    "Search",
    "SearchResult",
    "SearchState",
    "Split",
    "SplitTask",
    "SystemLoss",
    "TailLatency",
    "ThresholdResult",
    "Throughput",
    "VariationSearch",
    "distribute",
    "integer_placement",
    "min_cut",
    "neurosurgeon",
    "optimize",
    "place",
    "read_split_task",
    "reconfigure",
    "split_task",
    "tune_jointly",
    "tune_npu",
    "tune_thresholds",
]
