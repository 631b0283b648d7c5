"""Requests of many inputs, split over unlike nodes: tables, plans, and the run-time manager.

After Taufique, Miele, Liljeberg and Kanduri, Adaptive workload distribution for accuracy-aware DNN
inference on collaborative edge platforms, ASP-DAC 2024. How to split is decided elsewhere
(:mod:`surrogate.optimizers.workload`); here it is written down and played.
"""

from datagen.workload.manager import ManagerOptions, Outcome, ResourceManager
from datagen.workload.nodes import Change, Node
from datagen.workload.plans import ExplorationTable, Plan, Planner, Request
from datagen.workload.run import play
from datagen.workload.states import Event, State, StateMachine

__all__ = [
    "Change",
    "Event",
    "ExplorationTable",
    "ManagerOptions",
    "Node",
    "Outcome",
    "Plan",
    "Planner",
    "Request",
    "ResourceManager",
    "State",
    "StateMachine",
    "play",
]
