"""Where a report is to be written, under the name by which commands know it."""

from datagen.report.target import require_target, writing

__all__ = ["require_target", "writing"]
