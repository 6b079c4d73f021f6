"""The cellular links that units can be put on."""

from __future__ import annotations

from typing import Final

from fleetcell.contract.errors import ConfigError

PROFILES: Final = {"perfect": "no delay, no loss: the network of this machine"}


def check_profile(name: str) -> str:
    """The name, when it is a profile.

    Raises:
        ConfigError: it is not; the message lists those that are.
    """
    if name not in PROFILES:
        listed = ", ".join(f"{profile} ({what})" for profile, what in PROFILES.items())
        raise ConfigError(f"no link profile {name!r}; there is: {listed}")
    return name
