"""CITATION.cff is what tools that cite look for, and says what pyproject.toml says."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY


@pytest.fixture
def citation() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    return document


def test_has_the_keys_that_the_format_requires(citation: dict[str, Any]) -> None:
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "type"} <= citation.keys()
    assert citation["type"] == "software"
    for item in (citation, *citation["references"]):
        assert item["title"]
        assert item["authors"]
        assert all(author.keys() <= {"name", "family-names"} for author in item["authors"])
    assert all({"type", "year"} <= item.keys() for item in citation["references"])


def test_says_what_the_package_says(citation: dict[str, Any]) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert citation["keywords"] == project["keywords"]
    assert [author["name"] for author in citation["authors"]] == [
        author["name"] for author in project["authors"]
    ]
