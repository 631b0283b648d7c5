"""What the page of any search of deployments says: what it took, and what became of the devices."""

from __future__ import annotations

from datagen.report.page import Page
from surrogate.optimizers.result import SearchResult
from surrogate.report.deployment_graph import View, deployment_figure
from surrogate.report.pareto import FRONT_NOTE, front_figure
from surrogate.report.utilization import UTILIZATION_NOTE, utilization_figure

__all__ = ["add_devices", "add_effort", "add_map"]

STATUS = {
    "completed": "the search was completed",
    "time_limit": "the time was used up",
    "evaluation_limit": "the evaluations were used up",
    "interrupted": "it was interrupted",
}

GRAPH_NOTE = (
    "Circles are devices, coloured by the share of time they are busy in simulation; the number in "
    "a circle is that share. The ring around it is coloured by the share of the requests arriving "
    "there that find the queue full. Each chain of requests enters at the arrow beside its name "
    "(with the share of its requests that is lost) and follows the path of its colour. "
    "Pieces that follow each other on one device draw no path; hover over a device to see them."
)


def add_effort(page: Page, result: SearchResult, *, tried: str, answer: str) -> None:
    """Say what the search took, how its answer was proved, and which rules that breaks.

    Args:
        page: The page.
        result: The search.
        tried: What was evaluated, in the plural, for example ``placements``.
        answer: What was found, for example ``chosen placement``.
    """
    page.text(
        f"{result.evaluations:,} {tried} were evaluated in {result.seconds:.1f} s; "
        f"{STATUS[result.status]}. Start and {answer} were then simulated on random numbers that "
        "no choice depended on."
    )
    for violation in result.violations:
        page.text(f"The {answer} breaks a rule: {violation}.")


def add_map(page: Page, result: SearchResult) -> None:
    """Show where everything runs, before and after.

    Args:
        page: The page.
        result: The search.
    """
    page.heading("Where everything runs")
    views = [
        View(title="Before", deployment=result.start_deployment, outcome=result.start),
        View(title="After", deployment=result.deployment, outcome=result.verified),
    ]
    page.figure(deployment_figure(views), GRAPH_NOTE)


def add_devices(page: Page, result: SearchResult) -> None:
    """Show how busy the devices are, before and after, and the front, if there is one.

    Args:
        page: The page.
        result: The search.
    """
    page.heading("How busy the devices are")
    page.figure(utilization_figure(result), UTILIZATION_NOTE)
    if result.front:
        page.heading("What is traded for what")
        page.figure(front_figure(result), FRONT_NOTE)
