"""Order of simultaneous events: one 64-bit integer per event, shared by both engines.

Events at equal times (no tolerance) are played by (phase, chain, job, step). The kernel uses the
integer as heap key, the readable engine as SimPy priority.
"""

from __future__ import annotations

__all__ = [
    "ADMIT",
    "CHAIN_SHIFT",
    "CHOOSE",
    "ENTER",
    "FINISH",
    "JOB_SHIFT",
    "MAX_CHAINS",
    "MAX_JOBS",
    "MAX_STEPS",
    "PHASE_SHIFT",
    "TIMER",
    "alarm_key",
    "choice_key",
    "entry_key",
    "event_key",
]

FINISH = 1
"""Phase of service completions and finished transmissions: they make room."""
ENTER = 2
"""Phase of jobs that waited at the door of a device and now enter, in the order they came there."""
ADMIT = 3
"""Phase of arrivals at devices: external ones, hand-overs, deliveries."""
TIMER = 4
"""Phase of accelerators that look again because somebody has waited long enough."""
CHOOSE = 5
"""Phase of devices that choose whom to serve after all else at that instant."""

STEP_BITS, JOB_BITS, CHAIN_BITS = 12, 36, 12
JOB_SHIFT = STEP_BITS
CHAIN_SHIFT = JOB_SHIFT + JOB_BITS
PHASE_SHIFT = CHAIN_SHIFT + CHAIN_BITS
MAX_STEPS, MAX_JOBS, MAX_CHAINS = 1 << STEP_BITS, 1 << JOB_BITS, 1 << CHAIN_BITS


def event_key(phase: int, chain: int, job: int, step: int) -> int:
    """Return the place of an event among those of the same time.

    Args:
        phase: One of the phases of this module; they start at 1, which keeps every key above
            SimPy's own priorities 0 and 1.
        chain: 0-based chain, below ``MAX_CHAINS``.
        job: 0-based job of the chain, below ``MAX_JOBS``.
        step: 0-based step of the job, below ``MAX_STEPS``.

    Returns:
        A positive 63-bit integer.

    Example:
        >>> event_key(FINISH, 0, 7, 1) < event_key(ADMIT, 0, 0, 0)
        True
    """
    return (phase << PHASE_SHIFT) | (chain << CHAIN_SHIFT) | (job << JOB_SHIFT) | step


def entry_key(ticket: int) -> int:
    """Return the place of a job's entry among the events of the same time.

    Args:
        ticket: How many jobs had come to wait at any door before it.

    Returns:
        A positive 63-bit integer.

    Example:
        >>> event_key(FINISH, 7, 0, 0) < entry_key(0) < entry_key(1) < event_key(ADMIT, 0, 0, 0)
        True
    """
    return (ENTER << PHASE_SHIFT) | ticket


def choice_key(device: int) -> int:
    """Return the place of a device's choice among the events of the same time.

    Args:
        device: 0-based device.

    Returns:
        A positive 63-bit integer.

    Example:
        >>> choice_key(0) > event_key(ADMIT, MAX_CHAINS - 1, MAX_JOBS - 1, MAX_STEPS - 1)
        True
    """
    return (CHOOSE << PHASE_SHIFT) | device


def alarm_key(device: int) -> int:
    """Return the place of an accelerator's alarm among the events of the same time.

    Args:
        device: 0-based device.

    Returns:
        A positive 63-bit integer.

    Example:
        >>> event_key(ADMIT, 0, 0, 0) < alarm_key(7) < choice_key(0)
        True
    """
    return (TIMER << PHASE_SHIFT) | device
