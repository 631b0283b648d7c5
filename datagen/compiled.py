"""Compilation of numeric kernels: one decorator, one cache that can never serve stale code.

numba's disk cache looks at the file of the compiled function only: a helper changed in another
module, another NumPy, or the bounds-check flag would be served as before. Here the cache folder is
named by a hash of every kernel source and of the versions, so that any change starts afresh.

Rule: kernels live in modules whose name ends in ``kernel.py``; what they import of ours lies beside
them or in one of ``FURTHER``, so the hash covers every module of these folders.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np

settings: Any = importlib.import_module("numba.core.config")
"""numba's settings; a module whose content exists only at run time, hence untyped."""

__all__ = ["FURTHER", "cache_folder", "compiled", "contracted", "inlined"]

Function = TypeVar("Function", bound=Callable[..., Any])

FURTHER = ("npu",)
"""Folders without kernels that hold constants which kernels share with readable code."""

_UNUSED_DAYS = 30
"""Days without use after which a cache folder is deleted. Every checkout and every state of the
sources has one: what is in use, here or beside, must stay, and costs half a minute otherwise."""

_MOST_FOLDERS = 64
"""Cache folders that there are at most, of a few megabytes each, however busy the days were."""

_DAY = 86_400.0


_HERE = Path(__file__).parent


def _root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "edge-surrogate"


def source_hash(sources: list[Path]) -> str:
    """Return the name of the cache folder for a set of kernel sources.

    Args:
        sources: Files that hold kernels.

    Returns:
        A short hash of their names and contents, the versions and the bounds-check flag.
    """
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    state = (numba.__version__, np.__version__, bool(settings.BOUNDSCHECK))
    digest.update(repr(state).encode())
    return digest.hexdigest()[:16]


@cache
def cache_folder(home: Path = _HERE) -> Path:
    """Return the folder of compiled kernels, made if absent; those long unused are deleted.

    Args:
        home: Folder that the kernel lies in; what it calls lies there or beside a kernel of this
            package.

    Returns:
        The folder. Compilation goes on without a cache where it cannot be made.
    """
    homes = {path.parent for path in _HERE.rglob("*kernel.py")} | {home}
    homes |= {_HERE / name for name in FURTHER}
    sources = [path for home in homes for path in home.glob("*.py")]
    folder = _root() / source_hash([Path(__file__), *sources])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        _prune(folder)
    except OSError:
        return folder
    return folder


def _prune(current: Path) -> None:
    folders = [path for path in current.parent.iterdir() if path.is_dir() and path != current]
    used = {path: path.stat().st_mtime for path in folders}
    oldest = time.time() - _UNUSED_DAYS * _DAY
    for place, path in enumerate(sorted(folders, key=lambda path: -used[path]), start=1):
        if place >= _MOST_FOLDERS or used[path] < oldest:
            shutil.rmtree(path, ignore_errors=True)


def compiled(function: Function) -> Function:
    """Compile a kernel on first call and keep the machine code on disk.

    Args:
        function: A function of arrays and numbers, called from Python.

    Returns:
        Its compiled form; ``function.py_func`` is the original.
    """
    return _compile(function, inline=False)


def inlined(function: Function) -> Function:
    """Compile a part of a kernel into whatever kernel calls it.

    Left as calls, every one would hand over the arrays of a kernel's named tuples one by one, which
    made the event loop twice as slow.

    Args:
        function: A function of arrays and numbers, called from kernels.

    Returns:
        Its compiled form; ``function.py_func`` is the original.
    """
    return _compile(function, inline=True)


def contracted(function: Function) -> Function:
    """Compile a kernel with a product and a sum in one instruction.

    Such an instruction rounds once where two would twice: for predictions, and not for what must be
    the same to the last bit elsewhere.

    Args:
        function: A function of arrays and numbers, called from Python.

    Returns:
        Its compiled form; ``function.py_func`` is the original.
    """
    return _compile(function, inline=False, fastmath={"contract"})


def _compile(function: Function, *, inline: bool, **more: Any) -> Function:
    home = Path(function.__code__.co_filename).parent
    folder = cache_folder(home if home.is_dir() else _HERE)
    before = settings.CACHE_DIR
    settings.CACHE_DIR = str(folder)
    try:
        # Kernels allocate nothing, so their arrays need no reference counts. Left in, the counting
        # alone made the event loop nine times slower.
        options: dict[str, Any] = {"error_model": "numpy", "_nrt": False, "forceinline": inline}
        options["nogil"] = True  # threads may each run one, on arrays of their own
        options |= more
        return numba.njit(cache=os.access(folder, os.W_OK), **options)(function)  # type: ignore[no-any-return]
    finally:
        settings.CACHE_DIR = before
