"""Trace files as vehicles: SUMO floating-car data, GPX, OpenXC JSON lines and CSV.

`open_traces` reads and checks every file to its end before it returns anything, so that nothing is
replayed from a file that turns out to be cut off or malformed on its last line.
"""

from vehicle_sim.readers.opening import open_traces
from vehicle_sim.readers.trace import Reading, Signals, Trace, TraceError, Value

__all__ = ["Reading", "Signals", "Trace", "TraceError", "Value", "open_traces"]
