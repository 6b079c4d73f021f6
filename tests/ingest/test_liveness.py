"""Signs of life: which of them go to the register."""

from __future__ import annotations

from fleetcell.contract.messages import PresenceState
from fleetcell.contract.registration import Registration
from ingest.claims import Sign
from ingest.liveness import MOST_SIGN_S, UNSETTLED_S, Liveness


def written(liveness: Liveness, epoch: int, *times: float) -> list[float]:
    """Of the signs at these times, those that go to the register."""
    return [at for at in times if liveness.note("car", Sign(epoch, at))]


def test_of_a_vehicle_that_is_not_online_nearly_each_sign_is_written() -> None:
    liveness = Liveness(60)
    assert written(liveness, 3, 0.0, UNSETTLED_S / 2, UNSETTLED_S, 1.9 * UNSETTLED_S) == [0.0, UNSETTLED_S]
    assert liveness.last("car") == Sign(3, 1.9 * UNSETTLED_S)
    assert liveness.last("van") is None


def test_of_an_online_session_four_signs_in_an_interval_are_written_and_of_another_one_all() -> None:
    online = {"car": Registration(PresenceState.ONLINE, epoch=3)}
    for interval_s, every_s in ((8, 2.0), (3600, MOST_SIGN_S)):
        liveness = Liveness(interval_s)
        liveness.registered(online)
        assert written(liveness, 3, 0.0, every_s / 2, every_s, 1.5 * every_s) == [0.0, every_s]
        assert written(liveness, 4, 2 * every_s - UNSETTLED_S) == [2 * every_s - UNSETTLED_S]
        assert liveness.online == {"car": 3}


def test_who_is_suspect_is_not_online() -> None:
    liveness = Liveness(60)
    liveness.registered({"car": Registration(PresenceState.ONLINE, epoch=3)})
    liveness.registered({"car": Registration(PresenceState.SUSPECT, epoch=3)})
    assert written(liveness, 3, 0.0, 1.0) == [0.0, 1.0]
    assert liveness.online == {}
