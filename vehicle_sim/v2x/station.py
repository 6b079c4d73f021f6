"""One ITS station: what it says and when, and what it has heard. Pure; the time is passed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fleetcell.contract.v2x.messages import Cam
from vehicle_sim.v2x import making
from vehicle_sim.v2x.generation import T_GEN_CAM_MIN_MS, CamRules
from vehicle_sim.v2x.hazards import Hazards
from vehicle_sim.v2x.ldm import Ldm, Refusal, metres
from vehicle_sim.v2x.path import Path
from vehicle_sim.v2x.pseudonyms import PseudonymPolicy, Pseudonyms

if TYPE_CHECKING:
    import random

    from fleetcell.contract.topics import V2xTopic
    from fleetcell.contract.v2x.cells import Kind
    from fleetcell.contract.v2x.messages import Denm
    from vehicle_sim.mobility.motion import Motion
    from vehicle_sim.v2x.body import Body


@dataclass(frozen=True, slots=True)
class StationPolicy:
    """What a station sends.

    kinds: of messages; it hears the same ones.
    t_gen_cam_dcc_ms: the shortest interval between two CAMs, 100 to 1000 ms.
    """

    kinds: frozenset[Kind] = frozenset({"cam", "denm"})
    t_gen_cam_dcc_ms: int = T_GEN_CAM_MIN_MS
    pseudonyms: PseudonymPolicy = field(default_factory=PseudonymPolicy)


class Station:
    """The station of one vehicle. `now_ms`: of a clock that only goes forward; `its_ms`: TimestampIts.

    Args:
        body: what the vehicle is.
        policy: what it sends.
        rng: of pseudonyms and numbers.
    """

    def __init__(self, body: Body, policy: StationPolicy, rng: random.Random) -> None:
        self.ldm = Ldm()
        self._body = body
        self._policy = policy
        self._rules = CamRules(policy.t_gen_cam_dcc_ms)
        self._pseudonyms = Pseudonyms(policy.pseudonyms, rng)
        self._hazards = Hazards(body, rng)
        self._path = Path()
        self._motion: Motion | None = None

    @property
    def station_id(self) -> int:
        """Its pseudonym now."""
        return self._pseudonyms.station_id

    def look(self, now_ms: int, its_ms: int, motion: Motion | None) -> list[Cam | Denm]:
        """What is to be sent now; to be asked at least every 100 ms. None: it does not know where it is."""
        if motion is None:
            return []
        self._renew(now_ms, motion)
        self._path.went(now_ms, motion)
        due: list[Cam | Denm] = []
        if "denm" in self._policy.kinds:
            path = self._path.history(now_ms, motion)
            due += self._hazards.look(now_ms, its_ms, self.station_id, motion, path)
        if "cam" in self._policy.kinds and motion.ignition and not self._pseudonyms.silent(now_ms):
            cam = self._rules.look(now_ms, motion)
            if cam is not None:
                path_or_none = self._path.history(now_ms, motion) if cam.low_frequency else None
                due.append(making.cam(self.station_id, its_ms, motion, self._body, path_or_none))
        return due

    def is_own(self, message: Cam | Denm) -> bool:
        """Whether this station said it, under this pseudonym or one of the last."""
        return self._pseudonyms.is_own(message.station_id)

    def hear(self, topic: V2xTopic, message: Cam | Denm, now_ms: int, its_ms: int) -> Refusal | None:
        """Take what another station said, or say why not."""
        if isinstance(message, Cam):
            return self.ldm.hear_cam(topic, message, now_ms, its_ms)
        return self.ldm.hear_denm(topic, message, its_ms)

    def leave(self, its_ms: int) -> list[Denm]:
        """It is switched off: the last DENMs. What it says later, it says as somebody new."""
        self._rules.begin()
        return self._hazards.leave(its_ms)

    def _renew(self, now_ms: int, motion: Motion) -> None:
        """Take another pseudonym when it is time; nothing joins it to the last one."""
        before, self._motion = self._motion, motion
        moved_m = 0.0 if before is None else metres((before.lat, before.lon), (motion.lat, motion.lon))
        locked = self._hazards.active
        if self._pseudonyms.look(now_ms, moved_m, standing=motion.standing, locked=locked):
            self._rules.begin()
            self._path.begin()
            self._hazards.begin()
