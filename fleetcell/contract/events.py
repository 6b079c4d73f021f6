"""Events: what the kinds that units of this project report are called, and what their data says.

A unit may report other kinds with whatever data it likes; they are stored and shown all the same.
"""

from __future__ import annotations

from enum import StrEnum


class EventKind(StrEnum):
    """What happened, with the data that comes beside `lat` and `lon` (degrees, where they are known).

    DTC: `code` (SAE J2012), `active`: whether it appeared or cleared.
    HARSH_BRAKE, HARSH_ACCELERATION: `acceleration` in m/s², negative when braking; `speed` in km/h.
    CRASH: the same, and `delta_v`: the change of speed in km/h.
    HAZARD_HEARD: a warning of another vehicle was received, new and within 1 km. `lat` and `lon` are the
        hazard's; `distance` in m; `cause`, `sub_cause`, `station` and `sequence_number` as in the DENM.
    """

    DTC = "dtc"
    HARSH_BRAKE = "harsh_brake"
    HARSH_ACCELERATION = "harsh_acceleration"
    CRASH = "crash"
    HAZARD_HEARD = "hazard_heard"
