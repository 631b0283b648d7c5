"""Generation of labelled data sets, in one process or many, the same bytes either way."""

from datagen.generate.campaign import CampaignLimits, run_campaign
from datagen.generate.config import GenerateConfig, read_config
from datagen.generate.datasets import generate, local, simulate_dataset
from datagen.generate.work import Executor, Task

__all__ = [
    "CampaignLimits",
    "Executor",
    "GenerateConfig",
    "Task",
    "generate",
    "local",
    "read_config",
    "run_campaign",
    "simulate_dataset",
]
