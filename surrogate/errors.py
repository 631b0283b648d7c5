"""Errors of the surrogate package: one root, leaves that also are the built-in they refine.

Values that break a rule raise the errors of ``datagen.errors``, in the same words everywhere; here
are only those that concern training runs and released models.
"""

from __future__ import annotations

__all__ = ["CalibrationWarning", "CheckpointError", "ConfigError", "SurrogateError"]


class SurrogateError(Exception):
    """Root of the errors this package raises on purpose; the command line makes them status 2."""


class CheckpointError(SurrogateError, ValueError):
    """A released model that is missing, changed, or of another version."""


class ConfigError(SurrogateError, ValueError):
    """A configuration that does not describe a training run."""


class CalibrationWarning(UserWarning):
    """Calibration data whose labels are not as sharp as they should be."""
