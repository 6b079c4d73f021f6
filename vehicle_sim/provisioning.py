"""Where the platform is, and the accounts of the simulated vehicles on it.

A vehicle is registered through the API with an admin key; its secret is told once and kept in
`<data>/sim/units.json`, readable by the owner alone. A vehicle that the platform knows and we have no
secret for gets a new one. One that an operator revoked is left alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx
import msgspec
import structlog
from filelock import FileLock

from fleetcell.contract.errors import ConfigError, FleetcellError
from fleetcell.layout import Layout, NotRunningError, write_private

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fleetcell.contract.messages import RegionEntry

log = structlog.get_logger()

_CHUNK: Final = 500  # vehicles in one request
_REQUEST_TIMEOUT_S: Final = 30.0
_ANSWER_WITHIN_S: Final = 10.0  # for an API that is just starting
_RETRY_S: Final = 0.25


class ProvisioningError(FleetcellError):
    """The vehicles could not be registered on the platform."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A running platform: `broker_url` is ws://, wss://, mqtt:// or mqtts://.

    directory: its regions, where they are known. named: whether somebody named the region or the broker:
    vehicles stay there then.
    """

    api_url: str
    api_key: str
    broker_url: str
    region: str
    directory: dict[str, RegionEntry] | None = None
    named: bool = False


def find_platform(
    data_dir: Path,
    *,
    api_url: str | None = None,
    api_key: str | None = None,
    broker_url: str | None = None,
    region: str | None = None,
) -> Platform:
    """The platform that was named, and for what was not, the `fleetcell up` on the data directory.

    Raises:
        ConfigError: nothing is running there and not everything was named, or it has no such region; the
            message says what to do.
    """
    layout = Layout(data_dir.expanduser().absolute())
    try:
        up = layout.read_up_file()
    except NotRunningError as error:
        if not (api_url and api_key and broker_url):
            raise ConfigError(
                f"{error}, or set FLEETCELL_API_URL, FLEETCELL_API_KEY and FLEETCELL_BROKER_URL "
                "for one that runs elsewhere"
            ) from None
        return Platform(
            api_url.rstrip("/"), api_key, broker_url, region or "helsinki", None, region is not None
        )
    if api_url and api_url.rstrip("/") != up.api_url.rstrip("/") and not (api_key and broker_url):
        raise ConfigError(
            f"FLEETCELL_API_URL {api_url} is not the platform on {layout.root}: "
            "set its FLEETCELL_API_KEY and FLEETCELL_BROKER_URL too"
        )
    if api_key is None:
        try:
            api_key = (layout.root / up.admin_key_file).read_text().strip()
        except OSError as error:
            raise ConfigError(
                f"the admin key {up.admin_key_file} cannot be read: {error.strerror}; set FLEETCELL_API_KEY"
            ) from None
    named = region is not None or broker_url is not None
    directory = up.regions if broker_url is None else None
    if region is not None and directory:
        if region not in directory:
            raise ConfigError(
                f"the platform on {layout.root} has no region {region!r}, it has "
                f"{', '.join(sorted(directory))}; set FLEETCELL_BROKER_URL for one with a broker elsewhere"
            )
        broker_url = directory[region].url
    return Platform(
        (api_url or up.api_url).rstrip("/"),
        api_key,
        broker_url or up.broker_url,
        region or up.region,
        directory,
        named,
    )


class UnitsFile(msgspec.Struct, frozen=True):
    """`units.json`: the secrets of simulated vehicles by id."""

    units: dict[str, str]
    version: int = 1


class _Item(msgspec.Struct, frozen=True):
    id: str
    secret: str | None = None
    revoked: bool = False


class _Items(msgspec.Struct, frozen=True):
    items: list[_Item]


class Accounts:
    """The accounts of simulated vehicles on one platform.

    Args:
        path: of `units.json`.
        platform: where vehicles are registered.
    """

    def __init__(self, path: Path, platform: Platform) -> None:
        self._path = path
        self._platform = platform
        self.revoked: set[str] = set()  # by an operator; they have no way in

    async def provision(self, vehicles: Sequence[str], *, rotate: bool = False) -> dict[str, str]:
        """The secret of each vehicle, registering those that the platform does not know.

        Args:
            vehicles: ids.
            rotate: take new secrets even where one is kept: the platform refuses the old ones.

        Raises:
            ProvisioningError: no answer, a refused key, or a refused vehicle.
        """
        kept = {} if rotate else self._load()
        async with httpx.AsyncClient(
            base_url=self._platform.api_url,
            headers={"Authorization": f"Bearer {self._platform.api_key}"},
            timeout=_REQUEST_TIMEOUT_S,
            trust_env=False,
        ) as client:
            known = [] if rotate else await self._post(client, vehicles, rotate=False)
            self.revoked |= {item.id for item in known if item.revoked}
            secrets = {item.id: item.secret for item in known if item.secret}
            secrets = {id_: secret for id_, secret in kept.items() if id_ in set(vehicles)} | secrets
            unknown = [id_ for id_ in vehicles if id_ not in secrets and id_ not in self.revoked]
            renewed = await self._post(client, unknown, rotate=True)
        secrets |= {item.id: item.secret for item in renewed if item.secret}
        self._save(secrets)
        log.info(
            "vehicles provisioned", vehicles=len(vehicles), rotated=len(unknown), revoked=len(self.revoked)
        )
        if missing := [id_ for id_ in vehicles if id_ not in secrets and id_ not in self.revoked]:
            raise ProvisioningError(f"the platform gave no secret for {', '.join(missing[:5])}")
        return {id_: secret for id_, secret in secrets.items() if id_ not in self.revoked}

    async def _post(self, client: httpx.AsyncClient, ids: Sequence[str], *, rotate: bool) -> list[_Item]:
        items: list[_Item] = []
        for start in range(0, len(ids), _CHUNK):
            body = {"ids": list(ids[start : start + _CHUNK]), "rotate": rotate}
            answer = await self._answer(client, body)
            try:
                items += msgspec.json.decode(answer.content, type=_Items).items
            except msgspec.MsgspecError as error:
                raise ProvisioningError(
                    f"{self._platform.api_url} gave an answer that is not its API's: {error}"
                ) from None
        return items

    async def _answer(self, client: httpx.AsyncClient, body: dict[str, object]) -> httpx.Response:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + _ANSWER_WITHIN_S
        while True:
            try:
                answer = await client.post("/api/v1/vehicles", json=body)
            except httpx.TransportError as error:
                if loop.time() > give_up:
                    raise ProvisioningError(
                        f"no answer from {self._platform.api_url} ({error}): is `fleetcell up` running?"
                    ) from None
            else:
                if answer.is_success:
                    return answer
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or loop.time() > give_up:
                    raise ProvisioningError(self._refusal(answer))
            await asyncio.sleep(_RETRY_S)

    def _refusal(self, answer: httpx.Response) -> str:
        match answer.status_code:
            case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
                return (
                    f"{self._platform.api_url} refused the API key: registering vehicles needs an admin key"
                )
            case status:
                return (
                    f"{self._platform.api_url} refused to register the vehicles: {_detail(answer) or status}"
                )

    def _load(self) -> dict[str, str]:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ProvisioningError(f"{self._path} cannot be read: {error.strerror}") from None
        try:
            return msgspec.json.decode(content, type=UnitsFile).units
        except msgspec.MsgspecError as error:
            log.warning(
                "units file not understood, secrets are renewed", file=str(self._path), reason=str(error)
            )
            return {}

    def _save(self, secrets: dict[str, str]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_suffix(".lock"), mode=0o600):  # another simulator may write too
            kept = self._load()
            if merged := kept | secrets:
                content = msgspec.json.encode(UnitsFile(dict(sorted(merged.items()))))
                write_private(self._path, msgspec.json.format(content, indent=1))


def _detail(answer: httpx.Response) -> str:
    """What an RFC 9457 problem says, empty where the answer is none."""
    try:
        problem = answer.json()
        return str(problem.get("detail") or problem.get("title") or "")
    except (ValueError, AttributeError):
        return ""
