"""Self-contained HTML reports: one file, plots included, nothing fetched from anywhere."""

from surrogate.report.accuracy import Judged, evaluation_report
from surrogate.report.combined import quickstart_report
from surrogate.report.placement import placement_report
from surrogate.report.utilization import utilization_figure

__all__ = [
    "Judged",
    "evaluation_report",
    "placement_report",
    "quickstart_report",
    "utilization_figure",
]
