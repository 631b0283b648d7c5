"""Measured profiles of networks, imported as problems."""

from datagen.profiles.ceed import CeedProfile, import_ceed, read_ceed

__all__ = ["CeedProfile", "import_ceed", "read_ceed"]
