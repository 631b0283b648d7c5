"""Self-contained HTML reports: one file, plots included, nothing fetched from anywhere."""

from surrogate.report.accuracy import evaluation_report
from surrogate.report.accuracy_figures import error_figure, parity_figure, regime_figure
from surrogate.report.combined import quickstart_report
from surrogate.report.deployment_graph import View, deployment_figure
from surrogate.report.judged import Judged
from surrogate.report.pareto import front_figure
from surrogate.report.placement import placement_report
from surrogate.report.progress import progress_figure
from surrogate.report.tuning import latency_figure, tuning_report
from surrogate.report.utilization import utilization_figure

__all__ = [
    "Judged",
    "View",
    "deployment_figure",
    "error_figure",
    "evaluation_report",
    "front_figure",
    "latency_figure",
    "parity_figure",
    "placement_report",
    "progress_figure",
    "quickstart_report",
    "regime_figure",
    "tuning_report",
    "utilization_figure",
]
