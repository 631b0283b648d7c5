"""How PyTorch's threads wait: asleep, not spinning.

OpenMP threads spin at the end of every parallel region by default. On a machine with other work, a
thread that is not running then holds up all the others: two threads on two busy cores were forty
times slower than one. Asleep they cost a few microseconds per operation on an idle machine.
"""

from __future__ import annotations

import os

__all__ = ["let_threads_sleep"]


def let_threads_sleep() -> None:
    """Choose sleeping threads, unless the user chose otherwise; call before PyTorch is imported."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
