"""Prepare a deployment: make its secrets, and its database. Running it again changes nothing.

    python deploy/prepare.py secrets      files with passwords and keys, a folder for each service
    python deploy/prepare.py database     roles, database, extension and schema, as an administrator

compose.yaml runs both, once, before the services. Environment:

FLEETCELL_PREPARE_DIR     folder with a folder for each service, and `credentials` for the broker's file
FLEETCELL_REGION          region that the gateway serves
FLEETCELL_MORE_REGIONS    further regions, separated by spaces; each has a folder `ingest-NAME`
FLEETCELL_DATABASE        host:port of PostgreSQL
FLEETCELL_PREPARE_OWNER   user id that the services run under; the files are given to it
"""

import asyncio
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from fleetcell.contract.credentials import CredentialsFile, ServiceCredential, check_key, encode_file, mac
from fleetcell.contract.topics import Role
from ingest.database import connect, dashboard_login, migrate

ADMINISTRATOR = "postgres"
OWNER = "fleetcell"
DATABASE = "fleetcell"


class Secrets:
    """The files below one folder. A secret is made when it is missing and never changed."""

    def __init__(self, folder: Path, owner: int | None) -> None:
        self._folder = folder
        self._owner = owner

    def keep(self, name: str, content: str, mode: int = 0o600) -> str:
        """The text of a file; `content` when it did not exist."""
        path = self._folder / name
        if not path.exists():
            self._write(path, content, mode)
        return path.read_text().strip()

    def put(self, name: str, content: str) -> None:
        """A file made of secrets: written where it is missing or says something else."""
        path = self._folder / name
        if not path.exists() or path.read_text() != content:
            self._write(path, content, 0o600)

    def _write(self, path: Path, content: str, mode: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(content)
        fresh.chmod(mode)
        if self._owner is not None:
            os.chown(fresh, self._owner, self._owner)
            os.chown(path.parent, self._owner, self._owner)
        fresh.replace(path)

    def read(self, name: str) -> str:
        return (self._folder / name).read_text().strip()


def make_secrets(files: Secrets, regions: Sequence[str], database: str) -> None:
    """Give each service what it needs, and no more. The first region's ingest has the folder `ingest`."""
    folders = {region: f"ingest-{region}" if number else "ingest" for number, region in enumerate(regions)}
    key = files.keep("broker/credentials.key", secrets.token_hex(32))
    files.keep("dashboard/credentials.key", key)
    files.keep("dashboard/session.key", secrets.token_hex(32))
    files.keep("sim/fleetcell_api_key", files.keep("dashboard/admin.key", secrets.token_urlsafe(32)))

    # PostgreSQL's image reads it under a user of its own; the volume keeps everybody else out.
    files.keep("timescale/postgres_password", secrets.token_urlsafe(32), mode=0o644)
    for service, user in (("ingest", OWNER), ("dashboard", "fleetcell_dashboard")):
        password = files.keep(f"{service}/database_password", secrets.token_urlsafe(32))
        files.keep(f"{service}/fleetcell_dsn", f"postgresql://{user}:{password}@{database}/{DATABASE}")

    def account(role: Role, file: str, region: str | None = None) -> ServiceCredential:
        password = files.keep(file, secrets.token_urlsafe(32))
        return ServiceCredential(role, mac(check_key(key.encode()), password), region)

    accounts = {"dashboard": account(Role.DASHBOARD, "dashboard/fleetcell_broker_password")}
    for region, folder in folders.items():
        for user, file in (("ingest", "broker_password"), ("registrar", "registrar_password")):
            accounts[f"{user}-{region}"] = account(Role.GATEWAY, f"{folder}/fleetcell_{file}", region)
    listed = encode_file(CredentialsFile(services=accounts)).decode()
    for folder in folders.values():
        files.keep(f"{folder}/fleetcell_dsn", files.read("ingest/fleetcell_dsn"))
        files.put(f"{folder}/services.json", listed)
    files.keep("credentials/credentials.json", listed)  # for the broker, until ingest writes the whole file


async def make_database(files: Secrets, database: str) -> str:
    """The tier of the database, which has its schema now."""
    password = files.read("timescale/postgres_password")
    administrator = f"postgresql://{ADMINISTRATOR}:{password}@{database}"
    connection = await connect(f"{administrator}/postgres")
    try:
        quoted = await connection.fetchval("SELECT quote_literal($1)", files.read("ingest/database_password"))
        if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", OWNER):
            await connection.execute(f"CREATE ROLE {OWNER} LOGIN")
        await connection.execute(f"ALTER ROLE {OWNER} CREATEROLE PASSWORD {quoted}")
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
    finally:
        await connection.close()
    connection = await connect(f"{administrator}/{DATABASE}")
    try:
        if await connection.fetchval("SELECT true FROM pg_available_extensions WHERE name = 'timescaledb'"):
            await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    finally:
        await connection.close()
    tier = await migrate(files.read("ingest/fleetcell_dsn"))
    await dashboard_login(f"{administrator}/{DATABASE}", files.read("dashboard/database_password"))
    return tier.value


def main() -> int:
    environment = os.environ
    database = environment["FLEETCELL_DATABASE"]
    owner = environment.get("FLEETCELL_PREPARE_OWNER")
    files = Secrets(Path(environment["FLEETCELL_PREPARE_DIR"]), int(owner) if owner else None)
    match sys.argv[1:]:
        case ["secrets"]:
            more = environment.get("FLEETCELL_MORE_REGIONS", "").split()
            make_secrets(files, [environment["FLEETCELL_REGION"], *more], database)
            print("the secrets are made")
        case ["database"]:
            print(f"the database is ready; tier: {asyncio.run(make_database(files, database))}")
        case _:
            print("usage: prepare.py secrets | database", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
