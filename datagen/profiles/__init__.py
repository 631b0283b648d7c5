"""Measured profiles of networks, imported as problems."""

from datagen.profiles.ceed import CeedProfile, import_ceed, read_ceed
from datagen.profiles.network_profile import MeasuredLayer, NetworkProfile, read_network_profile

__all__ = [
    "CeedProfile",
    "MeasuredLayer",
    "NetworkProfile",
    "import_ceed",
    "read_ceed",
    "read_network_profile",
]
