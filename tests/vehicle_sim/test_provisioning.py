"""Accounts of simulated vehicles: registered over HTTP, kept privately, renewed when they are not known."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import msgspec
import pytest

from fleetcell.contract.errors import ConfigError
from fleetcell.contract.messages import RegionEntry
from tests.ports import free_port
from tests.vehicle_sim.small_platform import ADMIN_KEY
from vehicle_sim import provisioning
from vehicle_sim.provisioning import Accounts, Platform, ProvisioningError, find_platform

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vehicle_sim.small_platform import SmallPlatform


def accounts(platform: SmallPlatform, *, key: str = ADMIN_KEY) -> Accounts:
    found = Platform(platform.api_url, key, platform.broker.url, platform.region)
    return Accounts(platform.layout.root / "sim" / "units.json", found)


async def test_new_vehicles_get_secrets_that_only_their_owner_may_read(platform: SmallPlatform) -> None:
    secrets = await accounts(platform).provision(["n-1", "n-2"])
    file = platform.layout.root / "sim" / "units.json"
    assert set(secrets) == {"n-1", "n-2"}
    assert json.loads(file.read_text())["units"] == secrets
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not [post for post in platform.posts if post["rotate"]]


async def test_known_vehicles_keep_their_secrets(platform: SmallPlatform) -> None:
    first = await accounts(platform).provision(["k-1"])
    again = await accounts(platform).provision(["k-1", "k-2"])
    assert again["k-1"] == first["k-1"]
    assert not [post for post in platform.posts if post["rotate"]]


async def test_a_vehicle_whose_secret_is_not_kept_here_gets_a_new_one(platform: SmallPlatform) -> None:
    first = await accounts(platform).provision(["u-1", "u-2"])
    (platform.layout.root / "sim" / "units.json").unlink()
    again = await accounts(platform).provision(["u-1"])
    assert again["u-1"] != first["u-1"]
    assert platform.posts[-1] == {"ids": ["u-1"], "rotate": True}


async def test_a_platform_that_was_made_anew_gives_new_secrets(platform: SmallPlatform) -> None:
    first = await accounts(platform).provision(["m-1"])
    platform.vehicles.clear()
    again = await accounts(platform).provision(["m-1"])
    assert again["m-1"] != first["m-1"]
    assert (await accounts(platform).provision(["m-1"])) == again


async def test_rotation_takes_new_secrets_for_kept_ones(platform: SmallPlatform) -> None:
    first = await accounts(platform).provision(["r-1"])
    again = await accounts(platform).provision(["r-1"], rotate=True)
    assert again["r-1"] != first["r-1"]
    assert (await accounts(platform).provision(["r-1"])) == again


async def test_a_vehicle_that_was_revoked_is_left_alone(platform: SmallPlatform) -> None:
    await accounts(platform).provision(["v-1", "v-2"])
    platform.revoked.add("v-1")
    (platform.layout.root / "sim" / "units.json").unlink()
    books = accounts(platform)
    assert set(await books.provision(["v-1", "v-2"])) == {"v-2"}
    assert books.revoked == {"v-1"}
    assert platform.revoked == {"v-1"}, "and it was not given a new secret"


async def test_many_vehicles_are_registered_in_several_requests(platform: SmallPlatform) -> None:
    names = [f"m{number}" for number in range(provisioning._CHUNK + 1)]
    assert len(await accounts(platform).provision(names)) == len(names)
    assert [len(post["ids"]) for post in platform.posts] == [provisioning._CHUNK, 1]


async def test_a_units_file_that_is_damaged_is_replaced(platform: SmallPlatform) -> None:
    await accounts(platform).provision(["d-1"])
    file = platform.layout.root / "sim" / "units.json"
    file.write_text("{")
    secrets = await accounts(platform).provision(["d-1"])
    assert json.loads(file.read_text())["units"] == secrets


async def test_a_wrong_key_is_told_as_such(platform: SmallPlatform) -> None:
    with pytest.raises(ProvisioningError, match=r"refused the API key: .* needs an admin key"):
        await accounts(platform, key="wrong").provision(["w-1"])


async def test_no_answer_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioning, "_ANSWER_WITHIN_S", 0.0)
    nowhere = Platform(f"http://127.0.0.1:{free_port()}", "key", "ws://127.0.0.1:1/mqtt", "helsinki")
    with pytest.raises(ProvisioningError, match="is `fleetcell up` running"):
        await Accounts(tmp_path / "units.json", nowhere).provision(["n-1"])


def test_the_running_platform_is_found(platform: SmallPlatform) -> None:
    found = find_platform(platform.layout.root)
    assert found == Platform(platform.api_url, ADMIN_KEY, platform.broker.url, platform.region)
    other = find_platform(platform.layout.root, region="espoo", broker_url="mqtt://127.0.0.1:1")
    assert (other.region, other.broker_url) == ("espoo", "mqtt://127.0.0.1:1")


def test_a_region_that_is_named_is_found_and_stayed_at(platform: SmallPlatform) -> None:
    here = RegionEntry(platform.broker.url, [], "127.21.0.0/16")
    there = RegionEntry("ws://127.0.0.1:9/mqtt", [], "127.22.0.0/16")
    up = platform.layout.read_up_file()
    regions = {platform.region: here, "there": there}
    platform.layout.write_up_file(msgspec.structs.replace(up, regions=regions))
    found = find_platform(platform.layout.root)
    assert (found.region, found.directory, found.named) == (platform.region, regions, False)
    found = find_platform(platform.layout.root, region="there")
    assert (found.broker_url, found.region, found.named) == (there.url, "there", True)
    with pytest.raises(ConfigError, match=r"no region 'nowhere', it has .*there"):
        find_platform(platform.layout.root, region="nowhere")
    found = find_platform(platform.layout.root, broker_url="ws://127.0.0.1:8/mqtt")
    assert (found.broker_url, found.directory, found.named) == ("ws://127.0.0.1:8/mqtt", None, True)


def test_without_a_platform_the_message_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"start it with `fleetcell up.*or set FLEETCELL_API_URL"):
        find_platform(tmp_path)
    with pytest.raises(ConfigError, match="FLEETCELL_BROKER_URL"):
        find_platform(tmp_path, api_url="http://elsewhere", api_key="key")


def test_a_platform_elsewhere_needs_no_data_directory(tmp_path: Path) -> None:
    found = find_platform(tmp_path, api_url="http://else/", api_key="key", broker_url="ws://else/mqtt")
    assert found == Platform("http://else", "key", "ws://else/mqtt", "helsinki")


def test_another_api_is_not_used_with_the_key_of_the_local_one(platform: SmallPlatform) -> None:
    with pytest.raises(ConfigError, match="set its FLEETCELL_API_KEY"):
        find_platform(platform.layout.root, api_url="http://elsewhere")
    platform.layout.admin_key.unlink()
    with pytest.raises(ConfigError, match=r"admin key .* cannot be read"):
        find_platform(platform.layout.root)
