"""The seam between data, models and searches: packed deployments, measures, evaluators."""

from datagen.evaluation.batch import DeploymentBatch, concatenate
from datagen.evaluation.candidates import Candidates
from datagen.evaluation.effects import Effect
from datagen.evaluation.evaluator import Evaluable, Evaluator, as_batch
from datagen.evaluation.expanded_deployment import expanded_deployment
from datagen.evaluation.expanded_evaluator import ExpandedEvaluator
from datagen.evaluation.expansion import Expansion
from datagen.evaluation.measures import Measures
from datagen.evaluation.packing import pack

__all__ = [
    "Candidates",
    "DeploymentBatch",
    "Effect",
    "Evaluable",
    "Evaluator",
    "ExpandedEvaluator",
    "Expansion",
    "Measures",
    "as_batch",
    "concatenate",
    "expanded_deployment",
    "pack",
]
