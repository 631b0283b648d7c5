"""Where a report is to be written, checked before the work that it will tell about."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datagen.errors import InvalidInputError, require

__all__ = ["require_target", "writing"]


@contextmanager
def writing(path: Path, field: str = "report") -> Iterator[None]:
    """Turn what the file system refuses into an error that names the report.

    Args:
        path: The file that is written inside the block.
        field: What the file is called.

    Yields:
        Nothing.

    Raises:
        InvalidInputError: If the file system refuses anything.
    """
    try:
        yield
    except OSError as error:
        rule = f"be a file that can be written ({(error.strerror or 'unknown').lower()})"
        raise InvalidInputError(field, rule, str(path)) from None


def require_target(path: Path, field: str = "report") -> None:
    """Raise unless a report could be written now, so that hours of work do not end in an error.

    Args:
        path: The file.
        field: What the file is called.

    Raises:
        InvalidInputError: If it is a folder, lies in none, or may not be written.
    """
    with writing(path, field):
        require(path.parent.is_dir(), field, "lie in a folder that exists", str(path))
        require(not path.is_dir(), field, "be a file, not a folder", str(path))
        # Reports are written beside their place and then moved there.
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass
