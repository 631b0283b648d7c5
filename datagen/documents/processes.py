"""Forms of laws, of the processes that drive a chain, of exit traces, and of files of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import ARRIVALS, Recorded
from datagen.distributions import LAWS
from datagen.documents.forms import (
    FLAG,
    NUMBER,
    NUMBERS,
    TEXT,
    WHOLE,
    Form,
    build,
    listed,
    record,
    require_keys,
    require_mapping,
)
from datagen.errors import InvalidInputError, require
from datagen.exits import CONTEXTS, ExitTrace
from datagen.exits.files import FILE

__all__ = ["CONTEXT_PROCESS", "LAW", "arrivals_form", "located", "read_trace_file", "traces_form"]

_PARAMETERS: dict[str, Form] = {
    **dict.fromkeys(("mean", "scv", "low", "high", "rate", "period", "jitter"), NUMBER),
    **dict.fromkeys(("values", "times", "rates", "switch", "timestamps"), NUMBERS),
    **dict.fromkeys(("d0", "d1"), listed(NUMBERS)),
    "holding": NUMBERS,
    "by": TEXT,
    "contexts": listed(WHOLE),
    "stages": WHOLE,
}
"""Form of each parameter of a law or a process by its name."""


def _family(members: Mapping[str, type[Any]]) -> Form:
    """Return the form of a family of dataclasses told apart by the key ``law``."""
    forms = {
        name: record(cls, {item.name: _PARAMETERS[item.name] for item in fields(cls)})
        for name, cls in members.items()
    }

    def read(value: object, path: str) -> Any:
        found = dict(require_mapping(value, path))
        name = found.pop("law", None)
        known = isinstance(name, str) and name in forms
        require(known, f"{path}.law", f"be one of {', '.join(forms)}", name)
        return forms[str(name)].read(found, path)

    return Form(read=read, write=lambda item: {"law": item.name} | forms[item.name].write(item))


LAW = _family(LAWS)
CONTEXT_PROCESS = _family(CONTEXTS)
_ARRIVALS = _family(ARRIVALS)

# Right or wrong, written as 1 and 0 or as true and false.
_ANSWER = Form(
    read=lambda value, path: (FLAG if isinstance(value, bool) else NUMBER).read(value, path),
    write=int,
)

_TRACE_ARRAYS: dict[str, Form] = {
    "confidences": listed(NUMBERS),
    "correct": listed(listed(_ANSWER)),
    "context": NUMBERS,
    "group": NUMBERS,
    "cost": NUMBERS,
}
_NEEDED_ARRAYS = ("confidences", "correct")


def arrivals_form(folder: Path | None) -> Form:
    """Return the form of arrival processes; recorded times may stand in a file.

    Args:
        folder: Folder that files are named from; None refuses files.

    Returns:
        The form. It writes recorded times out in full.
    """

    def read(value: object, path: str) -> Any:
        if isinstance(value, Mapping) and value.get("law") == Recorded.name and "file" in value:
            require_keys(value, path, {"law": None, "file": None})
            file = located(value["file"], f"{path}.file", folder)
            times = tuple(_read_timestamps(file, f"{path}.file").tolist())
            return build(Recorded, {"timestamps": times}, path)
        return _ARRIVALS.read(value, path)

    return Form(read=read, write=_ARRIVALS.write)


def located(value: object, path: str, folder: Path | None) -> Path:
    """Return the file that a document names.

    Args:
        value: What the document says.
        path: Where it says so.
        folder: Folder that files are named from; None refuses files.

    Returns:
        The file.

    Raises:
        InvalidInputError: If the value is no text or the document is no file.
    """
    name: str = TEXT.read(value, path)
    if folder is None:
        raise InvalidInputError(path, "not be used in a document that is no file", name)
    return folder / name


# Arrival times are a .npy array, or a text with one number at the head of each line.
def _read_timestamps(file: Path, path: str) -> NDArray[np.float64]:
    try:
        if file.suffix == ".npy":
            times = np.load(file, allow_pickle=False)
        else:
            lines = file.read_text(encoding="utf-8").splitlines()
            heads = [line.split(",")[0].strip() for line in lines if line.strip()]
            # A heading is allowed, because tables of measurements usually have one.
            skip = 1 if heads and not _is_number(heads[0]) else 0
            times = np.array([float(head) for head in heads[skip:]])
    except (OSError, ValueError, EOFError):
        rule = "be a .npy file or a text with one time per line"
        raise InvalidInputError(path, rule, str(file)) from None
    flat = times.ndim == 1 and times.size > 0 and times.dtype.kind in "iuf"
    require(flat, path, "hold a list of numbers", str(file))
    return np.asarray(times, dtype=np.float64)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_trace_file(name: str, path: str, folder: Path | None) -> ExitTrace:
    """Read an exit trace from an ``.npz`` or a Parquet file, see :mod:`datagen.exits.files`.

    Args:
        name: File as the document names it; also the name of the trace.
        path: Where the document names it.
        folder: Folder that files are named from; None refuses files.

    Returns:
        The trace.

    Raises:
        InvalidInputError: If the file is not such a trace.
    """
    return _trace_of_file(name, name, path, folder)


def _trace_of_file(name: str, file: object, path: str, folder: Path | None) -> ExitTrace:
    place = located(file, path, folder)
    try:
        return ExitTrace.load(place, name=name)
    except InvalidInputError as error:
        if error.field == FILE:  # the document's own word for it is the path
            raise InvalidInputError(path, error.rule, error.value) from None
        raise error.within(path) from None


def traces_form(folder: Path | None) -> Form:
    """Return the form of exit traces: the arrays themselves, or ``{name, file}``.

    Args:
        folder: Folder that files are named from; None refuses files.

    Returns:
        The form. It writes the arrays out in full.
    """

    def read(value: object, path: str) -> ExitTrace:
        found = require_mapping(value, path)
        require_keys(found, path, dict.fromkeys(("name", "file", *_TRACE_ARRAYS)))
        name = TEXT.read(found.get("name"), f"{path}.name")
        if "file" in found:
            require_keys(found, path, {"name": None, "file": None})
            return _trace_of_file(name, found["file"], f"{path}.file", folder)
        content: dict[str, Any] = {"name": name}
        for key, form in _TRACE_ARRAYS.items():
            if found.get(key) is not None or key in _NEEDED_ARRAYS:
                content[key] = form.read(found.get(key), f"{path}.{key}")
        trace: ExitTrace = build(ExitTrace, content, path)
        return trace

    return listed(Form(read=read, write=_written_trace))


def _written_trace(trace: ExitTrace) -> dict[str, Any]:
    arrays = {name: values.tolist() for name, values in trace.arrays().items()}
    arrays["correct"] = trace.correct.astype(int).tolist()
    return {"name": trace.name, **arrays}
