"""One writer at a time: a lock on a folder that dies with the process that holds it."""

from __future__ import annotations

import os
from pathlib import Path

from datagen.errors import InvalidInputError

try:
    import fcntl
except ImportError:  # pragma: no cover - no such locks on Windows: there nobody is kept out
    fcntl = None  # type: ignore[assignment]

__all__ = ["LOCK", "FolderLock"]

LOCK = ".lock"
"""Name of the file that is locked; it is there only while a run writes."""


class FolderLock:
    """The right to write into a folder.

    The operating system keeps the lock, not the file: a run that is killed leaves the file behind
    but not the lock, and nobody has to delete anything before it goes on.

    Args:
        folder: An existing folder.

    Raises:
        InvalidInputError: If another run is writing there.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock, or raise at once."""
        self._path = folder / LOCK
        self._descriptor = self._take()

    def _take(self) -> int:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                if fcntl is not None:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The holder before may have deleted the file between our opening and our locking
                # it: a lock on a file without a name keeps nobody out.
                if os.path.samestat(os.fstat(descriptor), self._path.stat()):
                    return descriptor
            except BlockingIOError:
                os.close(descriptor)
                rule = "be written by one run at a time, and another is writing there now"
                raise InvalidInputError("out", rule, str(self._path.parent)) from None
            except FileNotFoundError:
                pass
            os.close(descriptor)

    def release(self) -> None:
        """Give the lock back and take its file away."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
