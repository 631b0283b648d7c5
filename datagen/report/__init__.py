"""Pages of text, tables and plots in one HTML file, which fetches nothing from anywhere."""

from datagen.report.target import require_target, writing

__all__ = ["require_target", "writing"]
