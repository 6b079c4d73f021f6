"""Measurements: `python -m benchmarks NAME`. See benchmarks/__main__.py for how to add one."""
