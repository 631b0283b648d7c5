"""The domain model: what is given (a problem) and what is decided (a deployment of it).

Requests of a *chain* pass its DNN *fragments* one after the other; each fragment runs on a *device*
with a finite buffer. A :class:`Problem` holds devices, chains and links; a :class:`Deployment` adds
every decision: placement, routing, exits, batching. All objects are frozen and validated when made,
so that whatever exists is meaningful.

Units are SI: s, 1/s, bytes, watts. Capacity counts what is in service as well as what waits.
"""

from datagen.deployment.chain import Chain, Exit, Fragment, Variant
from datagen.deployment.decisions import Deployment, Paths
from datagen.deployment.device import (
    DISCIPLINES,
    LARGEST_WHOLE,
    POWER_POINTS,
    Device,
    Discipline,
)
from datagen.deployment.problem import Link, Overflow, Problem
from datagen.npu.accelerator import Npu
from datagen.npu.batching import BatchConfig
from datagen.steps import Step

__all__ = [
    "DISCIPLINES",
    "LARGEST_WHOLE",
    "POWER_POINTS",
    "BatchConfig",
    "Chain",
    "Deployment",
    "Device",
    "Discipline",
    "Exit",
    "Fragment",
    "Link",
    "Npu",
    "Overflow",
    "Paths",
    "Problem",
    "Step",
    "Variant",
]
