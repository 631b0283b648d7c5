"""Early-exit networks: one that is trained here, calibration, and traces of any network."""

from surrogate.eenn.calibration import CalibratedExits, fit_temperatures
from surrogate.eenn.network import MultiExitNetwork
from surrogate.eenn.recording import measure_latency, record_trace

__all__ = [
    "CalibratedExits",
    "MultiExitNetwork",
    "fit_temperatures",
    "measure_latency",
    "record_trace",
]
