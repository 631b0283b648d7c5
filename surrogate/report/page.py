"""The page of every report, under the name by which scripts know it."""

from datagen.report.page import Page, percent, seconds

__all__ = ["Page", "percent", "seconds"]
