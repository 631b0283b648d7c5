"""The resource manager as a finite state machine: states, events, and which follow which.

Table of transitions::

    STARTING --started--> PROFILING --profiled--> IDLE --requested--> PLANNING
    PLANNING --planned--> DISPATCHING --dispatched--> MONITORING --finished--> IDLE
    MONITORING --drifted--> PLANNING      a node is slower or faster than profiled
    MONITORING --left-----> PLANNING      a node is gone, its inputs are open again
    PLANNING --stranded---> IDLE          no node is left
"""

from __future__ import annotations

from enum import Enum

from datagen.errors import require

__all__ = ["Event", "State", "StateMachine"]


class State(Enum):
    """What the manager is doing."""

    STARTING = "starting"
    PROFILING = "profiling"
    IDLE = "idle"
    PLANNING = "planning"
    DISPATCHING = "dispatching"
    MONITORING = "monitoring"


class Event(Enum):
    """What makes it do something else."""

    STARTED = "started"
    PROFILED = "profiled"
    REQUESTED = "requested"
    PLANNED = "planned"
    STRANDED = "stranded"
    DISPATCHED = "dispatched"
    FINISHED = "finished"
    DRIFTED = "drifted"
    LEFT = "left"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.STARTING, Event.STARTED): State.PROFILING,
    (State.PROFILING, Event.PROFILED): State.IDLE,
    (State.IDLE, Event.REQUESTED): State.PLANNING,
    (State.PLANNING, Event.PLANNED): State.DISPATCHING,
    (State.PLANNING, Event.STRANDED): State.IDLE,
    (State.DISPATCHING, Event.DISPATCHED): State.MONITORING,
    (State.MONITORING, Event.FINISHED): State.IDLE,
    (State.MONITORING, Event.DRIFTED): State.PLANNING,
    (State.MONITORING, Event.LEFT): State.PLANNING,
}
"""What each event leads to; an event that has no entry must not happen in that state."""


class StateMachine:
    """A state that changes by events, and the history of both.

    Example:
        >>> machine = StateMachine()
        >>> machine.fire(Event.STARTED, time=0.0)
        <State.PROFILING: 'profiling'>
    """

    def __init__(self) -> None:
        self.state = State.STARTING
        self.history: list[tuple[float, Event, State]] = []
        """Time [s], event, and the state that it led to."""

    def fire(self, event: Event, *, time: float) -> State:
        """Go where an event leads to.

        Args:
            event: What happened.
            time: When [s].

        Returns:
            The new state.

        Raises:
            InvalidInputError: If the event is not possible in the present state.
        """
        known = (self.state, event) in TRANSITIONS
        require(known, "event", f"be possible when {self.state.value}", event.value)
        self.state = TRANSITIONS[self.state, event]
        self.history.append((time, event, self.state))
        return self.state
