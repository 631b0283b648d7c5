"""The result file of the placement benchmark."""

from __future__ import annotations

from collections import Counter
from typing import Any

from result_file import head

__all__ = ["result_text", "table"]

SAID = {
    "simulation": "annealing on the compiled simulator, tuned",
    "analytic": "annealing on the analytic approximation",
    "random_search": "random search with the surrogate",
    "first_fit": "first-fit",
    "round_robin": "round-robin",
    "least_loaded": "least-loaded (the start)",
    "neurosurgeon": "Neurosurgeon's cuts",
    "ilp": "integer program (latency, memory, mean loads)",
    "random": "a random placement",
}

BOARD_COLUMNS = (
    "search",
    "least_loaded",
    "first_fit",
    "round_robin",
    "neurosurgeon",
    "ilp",
    "random",
)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _ratio(value: float) -> str:
    return f"{value:.3g}"


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Return a table.

    Args:
        header: Names of the columns.
        rows: Their values.

    Returns:
        Lines of Markdown, an empty one last.
    """
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines] + [""]


def _search_lines(report: dict[str, Any]) -> list[str]:
    lines = ["## Equal time", ""]
    for seconds, methods in report["summary"].items():
        lines += [f"Surrogate search against others, {seconds} s:", ""]
        lines += table(
            ["rival", "at least as good", "better", "median loss over the rival's"],
            [
                [
                    SAID[name],
                    _percent(found["at_least_as_good"]),
                    _percent(found["better"]),
                    _ratio(found["median_loss_ratio"]),
                ]
                for name, found in methods.items()
                if name in SAID
            ],
        )
        best = _ratio(methods["best_known"]["median_loss_ratio"])
        lines += [f"Over the best placement known of each problem: {best} (median).", ""]
    intervals = report["intervals"]
    if intervals["n"] > 0:
        lines += [
            f"Verified 95 % intervals that contain the loss ratio of an independent simulation of "
            f"{intervals['events']:.0e} events: {_percent(intervals['share'])} of "
            f"{intervals['n']}.",
            "",
        ]
    columns = ("surrogate", "simulation", "analytic", "random_search", "least_loaded", "ilp")
    names = [name for name in columns if name in report["rows"][0]["loss_ratio"]]
    lines += table(
        ["problem", "devices", "fragments", "s", *names, "best known"],
        [
            [
                *(str(row[name]) for name in ("problem", "devices", "fragments")),
                f"{row['seconds']:g}",
                *(_percent(row["loss_ratio"][name]) for name in names),
                _percent(row["best_known"]),
            ]
            for row in report["rows"]
        ],
    )
    lines += _program_lines(report["rows"]) + _not_behind_lines(report)
    counts = ", ".join(f"{key} s: {value}" for key, value in report["tuned"].items())
    return [*lines, f"Tuned settings of the simulated annealing: {counts}.", ""]


def _program_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Tell how the integer programs ended, one for each problem."""
    programs = {row["problem"]: row["ilp"] for row in rows}.values()
    ends = Counter(program["status"] for program in programs)
    unbounded = sum(program["max_load"] is None for program in programs)
    longest = max(program["seconds"] for program in programs)
    return [
        f"Integer programs: {', '.join(f'{n} {status}' for status, n in ends.items())}; "
        f"{unbounded or 'none'} solved without the bound on loads because no placement keeps it; "
        f"at most {longest:.2f} s.",
        "",
    ]


def _not_behind_lines(report: dict[str, Any]) -> list[str]:
    lines = ["### Where methods that do not know of queues are not behind", ""]
    found = report["not_behind"]
    if not found:
        return [*lines, "Nowhere among these problems; see the five boards at low loads.", ""]
    return lines + table(
        ["method", "problem", "s", "its loss", "surrogate search"],
        [
            [
                SAID[entry["method"]],
                str(entry["problem"]),
                f"{entry['seconds']:g}",
                _percent(entry["loss_ratio"]),
                _percent(entry["surrogate"]),
            ]
            for entry in found
        ],
    )


def _board_table(boards: dict[str, Any]) -> list[str]:
    return table(
        ["load factor", *(name.replace("_", "-") for name in BOARD_COLUMNS), "saved"],
        [
            [
                f"{row['load']:g}",
                *(_percent(row["loss_ratio"][name]) for name in BOARD_COLUMNS),
                _percent(row["reduction"]),
            ]
            for row in boards["rows"]
        ],
    )


def _periodic_lines(boards: dict[str, Any]) -> list[str]:
    return [
        "## Five boards, requests like clockwork",
        "",
        *_board_table(boards),
        "The same with a constant time between the requests of each camera. The search asks the "
        "analytic evaluator, for learned models know Poisson arrivals only. What a placement that "
        "does not know of queues loses here, it loses for the mean loads, not for chance.",
        "",
    ]


def _board_lines(boards: dict[str, Any]) -> list[str]:
    lines = ["## Five boards", "", *_board_table(boards)]
    return [
        *lines,
        f"Searches of {boards['seconds']:g} s. Saved: of the loss of the best load-blind placement "
        "(first-fit, round-robin, median of random ones). The paper reports 71 % on these boards, "
        "with networks, loads and a baseline that are not public.",
        "",
    ]


def _speed_lines(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["## Throughput", ""]
    names = list(rows[0]["seconds_per_placement"])
    return lines + table(
        ["size", "threads", "placements/s in a search", *(f"{name} [us]" for name in names)],
        [
            [
                row["size"],
                str(row["threads"]),
                f"{row['placements_per_s']:.0f}",
                *(f"{1e6 * row['seconds_per_placement'][name]:.1f}" for name in names),
            ]
            for row in rows
        ],
    )


def result_text(report: dict[str, Any], command: str, hardware: str | None = None) -> str:
    """Return the content of a result file.

    Args:
        report: What the benchmark measured.
        command: The command that was run.
        hardware: Class of the machine; this one's by default.

    Returns:
        Markdown.
    """
    kind = {"processor": "processor time, one thread", "wall": "wall-clock time"}[report["time"]]
    lines = head(
        "Searches of placements in equal time",
        report["machine"],
        configuration=f"checkpoint {report['checkpoint']}; budgets of {kind}; judged by "
        f"{report['events']:.0e} events on common random numbers",
        command=command,
        hardware=hardware,
    )
    if "rows" in report:
        lines += _search_lines(report)
    if "five_boards" in report:
        lines += _board_lines(report["five_boards"])
    if "periodic_boards" in report:
        lines += _periodic_lines(report["periodic_boards"])
    if "throughput" in report:
        lines += _speed_lines(report["throughput"])
    return "\n".join(lines)
