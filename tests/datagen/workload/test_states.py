"""The manager's state machine: its transitions by hand, and none besides."""

from __future__ import annotations

import pytest

from datagen.errors import InvalidInputError
from datagen.workload.states import Event, State, StateMachine

BY_HAND = {
    ("starting", "started"): "profiling",
    ("profiling", "profiled"): "idle",
    ("idle", "requested"): "planning",
    ("planning", "planned"): "dispatching",
    ("planning", "stranded"): "idle",
    ("dispatching", "dispatched"): "monitoring",
    ("monitoring", "finished"): "idle",
    ("monitoring", "drifted"): "planning",
    ("monitoring", "left"): "planning",
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_each_event_leads_where_it_should_or_is_refused(state: State, event: Event) -> None:
    machine = StateMachine()
    machine.state = state
    target = BY_HAND.get((state.value, event.value))
    if target is None:
        with pytest.raises(InvalidInputError, match=f"be possible when {state.value}"):
            machine.fire(event, time=1.0)
        assert (machine.state, machine.history) == (state, [])
    else:
        assert machine.fire(event, time=1.0).value == target
        assert machine.history == [(1.0, event, machine.state)]
