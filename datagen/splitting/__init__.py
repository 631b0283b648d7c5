"""Tasks that run layer by layer or as parallel branches: applications, hosts, deciders, simulation.

After Tuli, Casale and Jennings, SplitPlace: AI augmented splitting and placement of large-scale
neural networks in mobile edge environments, IEEE Transactions on Mobile Computing 2023.
"""

from datagen.splitting.applications import APPLICATIONS, Application, Host, Piece, Split, Task
from datagen.splitting.bandit import ContextualBandit, EpsilonGreedy, Ticket, UpperConfidence
from datagen.splitting.deciders import Always, AtRandom, ByBandit, Decider, Finished, reward
from datagen.splitting.placers import LeastLoaded, Placer, RandomHosts
from datagen.splitting.simulation import simulate_splits
from datagen.splitting.tasks import HOSTS, draw_tasks, interval_starts

__all__ = [
    "APPLICATIONS",
    "HOSTS",
    "Always",
    "Application",
    "AtRandom",
    "ByBandit",
    "ContextualBandit",
    "Decider",
    "EpsilonGreedy",
    "Finished",
    "Host",
    "LeastLoaded",
    "Piece",
    "Placer",
    "RandomHosts",
    "Split",
    "Task",
    "Ticket",
    "UpperConfidence",
    "draw_tasks",
    "interval_starts",
    "reward",
    "simulate_splits",
]
