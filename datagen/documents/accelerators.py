"""Forms of accelerators, and of how they form batches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
from datagen.documents.processes import located
from datagen.errors import InvalidInputError
from datagen.npu import BatchConfig, BatchTable, Npu, read_table

__all__ = ["BATCHING", "npu_form"]

BATCHING = record(
    BatchConfig,
    {"policy": TEXT, "max_batch": WHOLE, "timeout": NUMBER, "compaction": FLAG, "survivors": TEXT},
)

_ROWS = "seconds"
"""Key of a table's rows where it stands in the document itself."""


def npu_form(folder: Path | None) -> Form:
    """Return the form of accelerators; measured tables may stand in files.

    Args:
        folder: Folder that files are named from; None refuses files.

    Returns:
        The form. It writes measured tables out in full.
    """
    table = Form(read=lambda value, path: _read_table(value, path, folder), write=_written_table)
    forms = {"table": _one_or_named(table), "network": _one_or_named(TEXT)}
    return record(Npu, forms | dict.fromkeys(("array", "variant"), TEXT))


def _read_table(value: object, path: str, folder: Path | None) -> BatchTable:
    if isinstance(value, str):
        file = located(value, path, folder)
        try:
            return read_table(file)
        except InvalidInputError as error:
            raise error.within(path) from None
    found = require_mapping(value, path)
    require_keys(found, path, {_ROWS: None})
    rows = listed(NUMBERS).read(found.get(_ROWS), f"{path}.{_ROWS}")
    if len({len(row) for row in rows}) > 1:
        lengths = [len(row) for row in rows]
        raise InvalidInputError(f"{path}.{_ROWS}", "have rows of one length", lengths)
    table: BatchTable = build(BatchTable, {_ROWS: rows}, path)
    return table


def _written_table(table: BatchTable) -> dict[str, Any]:
    return {_ROWS: table.seconds.tolist()}


def _one_or_named(form: Form) -> Form:
    """Return the form of a value that serves all models, or of one per model."""

    def read(value: object, path: str) -> Any:
        # A table is a mapping too; what tells it is that its rows are a list.
        several = isinstance(value, Mapping) and not isinstance(value.get(_ROWS), list | tuple)
        return (keyed(form) if several else form).read(value, path)

    def write(item: Any) -> Any:
        return (keyed(form) if isinstance(item, Mapping) else form).write(item)

    return Form(read=read, write=write)
