"""Geofences: which vehicle was in which when, derived from the readings with rollups and trips; and alerts.

Pure: `shapes` (is a place inside?), `crossings` (one bucket of readings), `chain` (buckets in a row) and
`alerts` (which to raise, which to correct). The shell around them: `rows` (the database), `recompute` (called
in the transaction that derives buckets), `adopt` (a new or changed geofence) and `check` (for
`fleetcell db verify`). docs/geofences.md has the rules.
"""
