"""Imports go one way, from errors up to the command lines, and datagen never meets torch."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# Low to high. A part may import those of lower tiers and of its own, and never its package's door.
ORDER: dict[str, list[set[str]]] = {
    "datagen": [
        {"errors"},
        {"compiled", "frozen", "report"},
        {"distributions", "npu", "steps"},
        {"arrivals", "deployment", "exits"},
        {"documents"},
        {"graph", "profiles"},
        {"evaluation"},
        {"analytic"},
        {"policies"},
        {"simulator"},
        {"splitting", "theory", "workload"},
        {"store"},
        {"scenarios"},
        {"generate"},
        {"commands"},
        {"__main__"},
    ],
    "datagen.deployment": [
        {"checks"},
        {"device"},
        {"chain"},
        {"problem"},
        {"decisions"},
    ],
    "datagen.evaluation": [
        {"fields"},
        {"batch"},
        {"effects", "law_moments"},
        {"batching_tables", "exit_tables", "service_table", "slots"},
        {"placed_weights", "varied_exits"},
        {"link_tables", "plain_packing"},
        {"step_times"},
        {"packing", "loads"},
        {"candidates", "measures", "expanded_deployment"},
        {"evaluator", "expansion"},
        {"exit_paths", "expanded_evaluator", "memory_fixed_point"},
    ],
    "datagen.splitting": [
        {"applications", "bandit"},
        {"deciders", "placers", "tasks"},
        {"simulation"},
    ],
    "datagen.workload": [
        {"plans", "states"},
        {"nodes"},
        {"manager"},
        {"run"},
    ],
    "surrogate": [
        {"errors", "exit_kernel", "parallel", "threads"},
        {"folders"},
        {"features"},
        {"models"},
        {"training"},
        {"targets"},
        {"error_scale"},
        {"intervals", "neighbours", "ranges"},
        {"coverage"},
        {"checkpoints"},
        {"evaluator", "exit_model", "export"},
        {"calibration", "loss_predictor"},
        {"eenn", "exits", "release"},
        {"optimizers"},
        {"policies"},
        {"report"},
        {"commands"},
        {"quickstart", "reproduce"},
        {"__main__"},
    ],
}

NOT_IN_DATAGEN = {
    "lightning",
    "lightning_fabric",
    "pytorch_lightning",
    "surrogate",
    "torch",
    "torch_geometric",
    "torchmetrics",
}


def module_files(package: str) -> Iterator[tuple[str, Path]]:
    """Dotted name and file of each module; a package door is named ``package.__init__``."""
    folder = REPOSITORY.joinpath(*package.split("."))
    for file in sorted(folder.rglob("*.py")):
        yield ".".join(file.relative_to(REPOSITORY).with_suffix("").parts), file


def imported_names(module: str, source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import, those in functions and TYPE_CHECKING blocks included.

    ``from a import b`` gives ``a.b``, whether b is a module or a name in one.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*parents, *filter(None, [node.module])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def part_of(package: str, name: str) -> str | None:
    """The part of the package that a dotted name lies in; None outside the package."""
    if name == package:
        return "__init__"
    if not name.startswith(f"{package}."):
        return None
    return name.removeprefix(f"{package}.").split(".")[0]


def back_edges(package: str, module: str, source: str) -> list[str]:
    """What is wrong with the imports of one module, one line each."""
    rank = {part: tier for tier, parts in enumerate(ORDER[package]) for part in parts}
    here = part_of(package, module)
    if here is None or here == "__init__":
        return []
    if here not in rank:
        return [f"{module}: {here} has no place in the import order of {package}"]
    wrong = []
    for line, name in imported_names(module, source):
        target = part_of(package, name)
        if target is None or target == here:
            continue
        if target not in rank:
            wrong.append(f"{module}:{line} imports {name} through the door of {package}")
        elif rank[target] > rank[here]:
            wrong.append(f"{module}:{line} imports {name}: {target} comes after {here}")
    return wrong


@pytest.mark.parametrize("package", ORDER)
def test_imports_follow_the_order(package: str) -> None:
    files = list(module_files(package))
    assert files, f"{package} has no modules"
    wrong = [edge for name, file in files for edge in back_edges(package, name, file.read_text())]
    assert not wrong, "\n".join(wrong)


def undocumented(module: ModuleType) -> list[str]:
    """Public methods of a module's classes that neither say nor inherit what they do."""
    return [
        f"{cls.__module__}.{cls.__qualname__}.{name}"
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if cls.__module__ == module.__name__ and not cls.__name__.startswith("_")
        for name, member in vars(cls).items()
        if not name.startswith("_")
        and (inspect.isfunction(member) or isinstance(member, property))
        and not inspect.getdoc(getattr(cls, name))
    ]


@pytest.mark.parametrize("package", ["datagen", "surrogate"])
def test_every_public_method_says_or_inherits_what_it_does(package: str) -> None:
    names = [name.removesuffix(".__init__") for name, _ in module_files(package)]
    modules = [import_module(name) for name in names if not name.endswith("__main__")]
    wrong = [method for module in modules for method in undocumented(module)]
    assert not wrong, "\n".join(wrong)


def test_datagen_never_imports_torch_or_surrogate() -> None:
    wrong = [
        f"{module}:{line} imports {name}"
        for module, file in module_files("datagen")
        for line, name in imported_names(module, file.read_text())
        if name.split(".")[0] in NOT_IN_DATAGEN
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("datagen.deployment", "from datagen.simulator.base import Engine"),
        ("datagen.deployment", "def f():\n    import datagen.store"),
        ("datagen.store.reader", "from ..generate import generate"),
        ("datagen.store.reader", "from datagen import Deployment"),
        ("datagen.store.reader", "import datagen"),
        ("datagen.novelty", "import numpy"),
    ],
)
def test_a_back_edge_is_found(module: str, source: str) -> None:
    assert back_edges("datagen", module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("datagen.__init__", "from datagen.generate import generate"),
        ("datagen.deployment", "from datagen import distributions, exits"),
        (
            "datagen.store.reader",
            "from .schema import COLUMNS\nfrom ..errors import CorruptDataError",
        ),
        ("datagen.generate", "import numpy as np\nfrom datagen.store.writer import Writer"),
    ],
)
def test_a_forward_edge_passes(module: str, source: str) -> None:
    assert back_edges("datagen", module, source) == []
