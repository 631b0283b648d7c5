"""Online policies that are made by optimizers or need torch."""

from surrogate.policies.bayesian_tables import bayesian_table
from surrogate.policies.price_tables import PriceTables, tables_of
from surrogate.policies.queue_aware import DriftAware, QueueAware
from surrogate.policies.static import StaticThresholds

__all__ = [
    "DriftAware",
    "PriceTables",
    "QueueAware",
    "StaticThresholds",
    "bayesian_table",
    "tables_of",
]
