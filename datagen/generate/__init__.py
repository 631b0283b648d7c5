"""Generation of labelled data sets, in one process or many, the same bytes either way."""

from datagen.generate.campaign import run_campaign
from datagen.generate.config import GenerateConfig, read_config
from datagen.generate.datasets import generate, simulate_dataset

__all__ = ["GenerateConfig", "generate", "read_config", "run_campaign", "simulate_dataset"]
