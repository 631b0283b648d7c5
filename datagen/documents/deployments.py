"""Problems and deployments as documents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from datagen.deployment import (
    Chain,
    Deployment,
    Device,
    Exit,
    Fragment,
    Link,
    Problem,
    Variant,
)
from datagen.documents.accelerators import BATCHING, npu_form
from datagen.documents.forms import (
    FLAG,
    NUMBER,
    NUMBERS,
    TEXT,
    WHOLE,
    Form,
    build,
    keyed,
    listed,
    record,
    require_keys,
    require_mapping,
)
from datagen.documents.plain import dump_yaml, load_json, read_yaml
from datagen.documents.processes import (
    CONTEXT_PROCESS,
    LAW,
    arrivals_form,
    read_trace_file,
    traces_form,
)
from datagen.errors import InvalidInputError, require
from datagen.exits import ExitMix, ExitTrace, Thresholds

__all__ = [
    "deployment_from_document",
    "document_of",
    "from_json",
    "problem_from_document",
    "read_deployment",
    "read_problem",
    "to_json",
    "to_yaml",
]

PROBLEM_KEYS = ("devices", "links", "traces", "chains", "overflow")
DECISION_KEYS = ("placement", "routing", "exits", "batching", "fuse")
_KNOWN = dict.fromkeys((*PROBLEM_KEYS, *DECISION_KEYS))


def _device(folder: Path | None) -> Form:
    return record(
        Device,
        {
            "name": TEXT,
            "speed": NUMBER,
            "servers": WHOLE,
            "capacity": WHOLE,
            "memory": NUMBER,
            "discipline": TEXT,
            "npu": npu_form(folder),
            "power": NUMBERS,
            "speedup": NUMBERS,
        },
    )


_LINK = record(
    Link,
    {
        "source": TEXT,
        "target": TEXT,
        "bandwidth": NUMBER,
        "latency": NUMBER,
        "queueing": FLAG,
        "admission": TEXT,
        "release": TEXT,
    },
)


def _read_service(value: object, path: str) -> Any:
    found = require_mapping(value, path)
    # A device may be called "law": its entry is a mapping then, and no name of a law.
    is_table = bool(found) and all(isinstance(item, Mapping) for item in found.values())
    return (keyed(LAW) if is_table else LAW).read(found, path)


_SERVICE = Form(
    read=_read_service,
    write=lambda item: (keyed(LAW) if isinstance(item, Mapping) else LAW).write(item),
)

_FRAGMENT = record(
    Fragment,
    {
        "name": TEXT,
        "service": _SERVICE,
        "demand": WHOLE,
        "weights": NUMBER,
        "output": NUMBER,
        "exit": record(Exit, {"head": LAW}),
        "allowed": listed(TEXT),
    },
)

_VARIANT = record(Variant, {"name": TEXT, "fragments": listed(_FRAGMENT), "accuracy": NUMBER})


def _chain(folder: Path | None) -> Form:
    form = record(
        Chain,
        {
            "name": TEXT,
            "arrivals": arrivals_form(folder),
            "fragments": listed(_FRAGMENT),
            "model": TEXT,
            "priority": WHOLE,
            "deadline": NUMBER,
            "parallel": FLAG,
            "trace": TEXT,
            "contexts": CONTEXT_PROCESS,
            "variants": listed(_VARIANT),
        },
    )

    def write(chain: Chain) -> dict[str, Any]:
        document: dict[str, Any] = form.write(chain)
        if chain.model == chain.name:
            del document["model"]  # what it is when nothing is said
        return document

    return Form(read=form.read, write=write)


def _read_paths(value: object, path: str) -> Any:
    several = isinstance(value, list | tuple) and any(isinstance(x, list | tuple) for x in value)
    return (listed(listed(TEXT)) if several else listed(TEXT)).read(value, path)


def _written_paths(paths: tuple[tuple[str, ...], ...]) -> list[Any]:
    return list(paths[0]) if len(paths) == 1 else [list(path) for path in paths]


_PATHS = Form(read=_read_paths, write=_written_paths)


def _read_exits(value: object, path: str) -> ExitMix | Thresholds:
    found = require_mapping(value, path)
    decision: ExitMix | Thresholds
    if "thresholds" in found:
        require_keys(found, path, {"thresholds": None, "trace": None})
        tau = NUMBERS.read(found["thresholds"], f"{path}.thresholds")
        trace = found.get("trace")
        name = None if trace is None else TEXT.read(trace, f"{path}.trace")
        decision = build(Thresholds, {"tau": tau, "trace": name}, path)
        return decision
    require_keys(found, path, {"mix": None, "accuracy": None, "thresholds": None, "trace": None})
    content = {"p": NUMBERS.read(found.get("mix"), f"{path}.mix")}
    if found.get("accuracy") is not None:
        content["accuracy"] = NUMBERS.read(found["accuracy"], f"{path}.accuracy")
    decision = build(ExitMix, content, path)
    return decision


def _written_exits(decision: ExitMix | Thresholds) -> dict[str, Any]:
    if isinstance(decision, Thresholds):
        document: dict[str, Any] = {"thresholds": list(decision.tau)}
        return document if decision.trace is None else document | {"trace": decision.trace}
    document = {"mix": list(decision.p)}
    accuracy = decision.accuracy
    return document if accuracy is None else document | {"accuracy": list(accuracy)}


_EXITS = keyed(Form(read=_read_exits, write=_written_exits))


def _exits_of(document: Mapping[str, Any]) -> dict[str, ExitMix | Thresholds]:
    exits: dict[str, ExitMix | Thresholds] = {}
    if document.get("exits") is not None:
        exits = _EXITS.read(document["exits"], "exits")
    return exits


def problem_from_document(document: Mapping[str, Any], *, folder: Path | None = None) -> Problem:
    """Build a problem.

    Args:
        document: Plain mapping; decisions may stand in it too and are not looked at, but for the
            trace files that thresholds name.
        folder: Folder that files are named from; None refuses files.

    Returns:
        The problem.

    Raises:
        InvalidInputError: If a key is unknown or a value breaks a rule; it names the path.
    """
    require_keys(document, "", _KNOWN)
    forms = {
        "devices": listed(_device(folder)),
        "links": listed(_LINK),
        "traces": traces_form(folder),
        "chains": listed(_chain(folder)),
        "overflow": TEXT,
    }
    for key in ("devices", "chains"):
        require(document.get(key) is not None, key, "be given", None)
    content = {
        key: form.read(document[key], key)
        for key, form in forms.items()
        if document.get(key) is not None
    }
    chains, traces = _with_trace_files(
        content["chains"], content.get("traces", ()), _exits_of(document), folder
    )
    return Problem(**content | {"chains": chains, "traces": traces})


def _with_trace_files(
    chains: tuple[Chain, ...],
    traces: tuple[ExitTrace, ...],
    exits: Mapping[str, ExitMix | Thresholds],
    folder: Path | None,
) -> tuple[tuple[Chain, ...], tuple[ExitTrace, ...]]:
    """Load the traces that thresholds name and give them to their chains."""
    known = {trace.name: trace for trace in traces}
    linked = []
    for chain in chains:
        decision = exits.get(chain.name)
        name = decision.trace if isinstance(decision, Thresholds) else None
        if name is not None:
            path = f"exits.{chain.name}.trace"
            if name not in known:
                known[name] = read_trace_file(name, path, folder)
            same = chain.trace in {None, name}
            require(same, path, f"be the trace of the chain, {chain.trace}", name)
            chain = replace(chain, trace=name)
        linked.append(chain)
    return tuple(linked), (*traces, *(t for n, t in known.items() if t not in traces))


def deployment_from_document(
    document: Mapping[str, Any], *, folder: Path | None = None
) -> Deployment:
    """Build a deployment.

    Args:
        document: Plain mapping with a placement.
        folder: Folder that files are named from; None refuses files.

    Returns:
        The deployment.

    Raises:
        InvalidInputError: If a key is unknown, a value breaks a rule or the placement is missing.
    """
    return _decided(document, problem_from_document(document, folder=folder))


def _decided(document: Mapping[str, Any], problem: Problem) -> Deployment:
    require(document.get("placement") is not None, "placement", "be given", None)
    placement = keyed(_PATHS).read(document["placement"], "placement")
    content: dict[str, Any] = {"placement": placement, "exits": _exits_of(document)}
    forms = {"routing": keyed(NUMBERS), "batching": keyed(BATCHING), "fuse": FLAG}
    for key, form in forms.items():
        if document.get(key) is not None:
            content[key] = form.read(document[key], key)
    return Deployment(problem=problem, **content)


def document_of(item: Problem | Deployment) -> dict[str, Any]:
    """Return a problem or deployment as a plain mapping, ready for YAML or JSON.

    Args:
        item: What to write.

    Returns:
        The mapping; values at their defaults are left out.
    """
    problem = item.problem if isinstance(item, Deployment) else item
    document: dict[str, Any] = {"devices": listed(_device(None)).write(problem.devices)}
    if problem.links:
        document["links"] = listed(_LINK).write(problem.links)
    if problem.traces:
        document["traces"] = traces_form(None).write(problem.traces)
    document["chains"] = listed(_chain(None)).write(problem.chains)
    if problem.overflow != "drop":
        document["overflow"] = problem.overflow
    return document | _written_decisions(item) if isinstance(item, Deployment) else document


def _written_decisions(deployment: Deployment) -> dict[str, Any]:
    document: dict[str, Any] = {"placement": keyed(_PATHS).write(deployment.placement)}
    routing = deployment.routing or {}
    split = {chain: list(p) for chain, p in routing.items() if p != (1.0,)}
    if split:
        document["routing"] = split
    if deployment.exits:
        document["exits"] = _EXITS.write(deployment.exits)
    if deployment.batching:
        document["batching"] = keyed(BATCHING).write(deployment.batching)
    if not deployment.fuse:
        document["fuse"] = False
    return document


def to_json(item: Problem | Deployment) -> str:
    """Return a problem or deployment as one line of JSON.

    Args:
        item: What to write.

    Returns:
        Text that :func:`from_json` reads back exactly.
    """
    return json.dumps(document_of(item), separators=(",", ":"), allow_nan=False)


def to_yaml(item: Problem | Deployment) -> str:
    """Return a problem or deployment as YAML.

    Args:
        item: What to write.

    Returns:
        Text that :func:`read_problem` reads back exactly.
    """
    return dump_yaml(document_of(item))


def from_json(text: str) -> Problem | Deployment:
    """Read a problem or deployment from JSON.

    Args:
        text: What :func:`to_json` gave.

    Returns:
        A deployment if the text holds a placement, else a problem.

    Raises:
        InvalidInputError: If the text is no such document.
    """
    document = load_json(text)
    if "placement" in document:
        return deployment_from_document(document)
    return problem_from_document(document)


def read_problem(path: str | Path) -> tuple[Problem, Deployment | None]:
    """Read a YAML file that holds a problem and perhaps a first deployment of it.

    Args:
        path: The file; files it names are looked up beside it.

    Returns:
        The problem, and the deployment where the document has a placement.

    Raises:
        InvalidInputError: If the file is no such document.
    """
    document = read_yaml(path)
    problem = problem_from_document(document, folder=Path(path).parent)
    if document.get("placement") is None:
        return problem, None
    return problem, _decided(document, problem)


def read_deployment(path: str | Path) -> Deployment:
    """Read a YAML file that holds a deployment.

    Args:
        path: The file; files it names are looked up beside it.

    Returns:
        The deployment.

    Raises:
        InvalidInputError: If the file is no such document, or has no placement.
    """
    deployment = read_problem(path)[1]
    if deployment is None:
        raise InvalidInputError("placement", "be given", None)
    return deployment
