"""Documents: problems and deployments as YAML, JSON and plain dictionaries, exactly both ways."""

from datagen.documents.deployments import (
    deployment_from_document,
    document_of,
    from_json,
    problem_from_document,
    read_deployment,
    read_problem,
    to_json,
    to_yaml,
)
from datagen.documents.plain import read_yaml

__all__ = [
    "deployment_from_document",
    "document_of",
    "from_json",
    "problem_from_document",
    "read_deployment",
    "read_problem",
    "read_yaml",
    "to_json",
    "to_yaml",
]
