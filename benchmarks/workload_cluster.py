"""The cluster of the benchmark of workload distribution: boards, networks, and their sources.

The profiling tables of Taufique et al. (ASP-DAC 2024) are not public. Boards are those they name,
networks and speeds are ours:

*Variants*: the pre-trained MobileNet v1 of TensorFlow-Slim (github tensorflow/models,
``research/slim/nets/mobilenet_v1.md``): multiply-accumulates and top-1 accuracy on ImageNet.

*Time per image of the largest variant*: published runs of the ncnn benchmark (``mobilenet``, 224 x
224, float32, mean).

- Raspberry Pi 4 (1.5 GHz, 4 threads): 86.0 ms (github Tencent/ncnn, ``benchmark/README.md``).
- Jetson Nano B01: 15.8 ms on its GPU through Vulkan, 40.0 ms on its CPU (a user's note of 2023-02;
  the table of the project has no such board). Which one the paper used is not known: both are run.
- Odroid XU4: no published run is known to us. A Rockchip RK3288 (4 Cortex-A17, 1.8 GHz) takes
  115 ms (github bug1989/ncnn-benchmark, several threads); the XU4's Cortex-A15 are of the same
  class at 2.0 GHz, so 115 x 1.8 / 2.0 = 103.5 ms is assumed.

*Our own choices*: a tenth of that time does not shrink with the variant (reading, resizing, layers
bound by memory), the rest is proportional to its multiply-accumulates; an image of 30 kB takes
2.4 ms at 100 Mbit/s; a board takes 50 ms from an assignment to its first image; times vary by 5 %.
"""

from __future__ import annotations

from datagen.distributions import LogNormal
from datagen.workload import Node

__all__ = ["ACCURACY", "CLUSTERS", "NOISE", "VARIANTS"]

VARIANTS = {
    "1.0-224": (569, 0.709),
    "1.0-192": (418, 0.700),
    "1.0-160": (291, 0.680),
    "0.75-160": (162, 0.653),
    "0.5-160": (77, 0.591),
    "0.5-128": (49, 0.563),
}
"""Width and resolution -> millions of multiply-accumulates, top-1 accuracy."""

ACCURACY = tuple(accuracy for _, accuracy in VARIANTS.values())

LARGEST = max(macs for macs, _ in VARIANTS.values())

FIXED_SHARE = 0.1
TRANSFER = 30e3 * 8 / 100e6
"""Time of an image on the network [s]."""

SETUP = 0.05
NOISE = LogNormal(mean=1.0, scv=0.05**2)

ODROID, RASPBERRY, NANO_GPU, NANO_CPU = 0.1035, 0.0860, 0.0158, 0.0400
"""Time per image of the largest variant [s]."""


def board(name: str, largest: float) -> Node:
    """Return a board that takes so long for an image by the largest variant [s]."""
    shares = (FIXED_SHARE + (1.0 - FIXED_SHARE) * macs / LARGEST for macs, _ in VARIANTS.values())
    return Node(
        name=name, seconds=tuple(TRANSFER + largest * share for share in shares), setup=SETUP
    )


def _cluster(nano: float) -> tuple[Node, ...]:
    odroids = (board("odroid0", ODROID), board("odroid1", ODROID))
    return (*odroids, board("raspberry", RASPBERRY), board("nano", nano))


CLUSTERS = {"nano by GPU": _cluster(NANO_GPU), "nano by CPU": _cluster(NANO_CPU)}
"""Two Odroid XU4, a Raspberry Pi 4 and a Jetson Nano."""
