"""What the registrar has heard and not yet written: claims, signs of life, and which numbers exist.

Bounded while the database is away: the newest claim of each vehicle is always kept, and its epoch's will.
Each keeps the time when it was heard, so that what waited for the database is dated as if it had not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from fleetcell.contract.presence import Reason

if TYPE_CHECKING:
    from fleetcell.contract.messages import Claim

MANY: Final = 16  # claims of one vehicle kept apart, so that each makes its own entry in the history


class Said(NamedTuple):
    """A claim, and when it was heard (monotonic seconds)."""

    claim: Claim
    at: float


class Sign(NamedTuple):
    """A sign of life of a session: no claim.

    at: when it was heard (monotonic seconds). by: what it was.
    measured_us: when its newest reading was, by the unit's clock, µs since 1970; None where it has none.
    """

    epoch: int
    at: float
    by: Reason = Reason.TELEMETRY
    measured_us: int | None = None


@dataclass(slots=True)
class Heard:
    """What was heard of vehicles, by name; `claimed` is the last number that exists by (vehicle, boot)."""

    claims: dict[str, list[Said]] = field(default_factory=dict)
    signs: dict[str, Sign] = field(default_factory=dict)
    claimed: dict[tuple[str, str], int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.claims or self.signs)

    def names(self) -> set[str]:
        """The vehicles."""
        return self.claims.keys() | self.signs.keys()

    def add(self, vehicle: str, claim: Claim, at: float) -> None:
        """Keep a claim; beyond MANY of one vehicle only those that the fold cannot do without."""
        claims = self.claims.setdefault(vehicle, [])
        claims.append(Said(claim, at))
        if len(claims) > MANY:
            claims[:] = essential(claims)
        for boot, last in _numbers(claim):
            self.claimed[vehicle, boot] = max(last, self.claimed.get((vehicle, boot), 0))

    def sign(self, vehicle: str, sign: Sign) -> None:
        """Keep a sign of life; a later one replaces it."""
        self.signs[vehicle] = sign

    def take(self, limit: int) -> Heard:
        """Remove and give what was heard of up to so many vehicles, the longest waiting first."""
        names = list(self.claims)[:limit]
        names += [name for name in list(self.signs)[:limit] if name not in self.claims][: limit - len(names)]
        taken = Heard()
        for name in names:
            if (claims := self.claims.pop(name, None)) is not None:
                taken.claims[name] = claims
            if (sign := self.signs.pop(name, None)) is not None:
                taken.signs[name] = sign
        chosen = set(names)
        for key in [key for key in self.claimed if key[0] in chosen]:
            taken.claimed[key] = self.claimed.pop(key)
        return taken

    def put_back(self, taken: Heard) -> None:
        """After a failure: what was taken goes before what came since."""
        for vehicle, claims in taken.claims.items():
            later = self.claims.pop(vehicle, [])
            self.claims[vehicle] = [*claims, *later]
            if len(self.claims[vehicle]) > MANY:
                self.claims[vehicle] = essential(self.claims[vehicle])
        for vehicle, sign in taken.signs.items():
            self.signs.setdefault(vehicle, sign)
        for key, last in taken.claimed.items():
            self.claimed[key] = max(last, self.claimed.get(key, 0))


def essential(claims: list[Said]) -> list[Said]:
    """The claims that decide the state: of the newest epoch the last claim, and its will.

    The last claim takes over the update interval and the keep-alive that an earlier one of its epoch told.
    """
    epoch = max(said.claim.epoch for said in claims)
    newest = [said for said in claims if said.claim.epoch == epoch]
    spoken = sorted((said for said in newest if not said.claim.is_will), key=lambda said: said.claim.n or 0)
    wills = [said for said in newest if said.claim.is_will][:1]
    if not spoken:
        return wills
    last = spoken[-1]
    interval = next((said.claim.update_interval for said in spoken[::-1] if said.claim.update_interval), None)
    keep_alives = (said.claim.keep_alive for said in spoken[::-1])
    keep_alive = next((told for told in keep_alives if told is not None), None)
    timed = msgspec.structs.replace(last.claim, update_interval=interval, keep_alive=keep_alive)
    return [last._replace(claim=timed), *wills]


def _numbers(claim: Claim) -> list[tuple[str, int]]:
    """The last number that exists in each boot that the claim tells of."""
    found: list[tuple[str, int]] = []
    if claim.boot is not None and claim.next_seq is not None and claim.next_seq > 1:
        found.append((claim.boot, claim.next_seq - 1))
    if claim.previous is not None and claim.previous.last_seq > 0:
        found.append((claim.previous.boot, claim.previous.last_seq))
    return found
