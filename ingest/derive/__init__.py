"""Rollups, trips and stops: derived from the readings, a bucket of ten minutes at a time.

Pure: `rules`, `track`, `segments`, `summary`, `journeys`, `chain`, `marks`. The shell around them: `worker`
(what the service runs), `recompute` (one transaction of it), `rows` (the database) and `verify` (everything
once more, compared).
"""
