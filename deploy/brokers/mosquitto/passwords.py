"""Keep Mosquitto's password file: add accounts, and drop those that fleetcell has revoked.

    python passwords.py /etc/mosquitto/fleetcell/passwords --credentials credentials.json < accounts.csv

accounts.csv has lines `name,secret`: what `fleetcell vehicles add` printed, and the service accounts.
Mosquitto hashes a secret with a salt of its own, so this must be done when a secret is made: fleetcell keeps
only a MAC of it. With --credentials (the file that ingest writes), names that are not in it are taken out.
Then make Mosquitto read the file: kill -HUP.
"""

import argparse
import base64
import csv
import hashlib
import json
import os
import sys
from pathlib import Path

ITERATIONS = 101  # Mosquitto's own; a secret of 256 random bits needs no slow hash
SALT_BYTES = 12


def entry(secret: str) -> str:
    """A hash as mosquitto_passwd writes it: PBKDF2 with HMAC-SHA-512."""
    salt = os.urandom(SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, ITERATIONS)
    return "$".join(
        ("", "7", str(ITERATIONS), base64.b64encode(salt).decode(), base64.b64encode(digest).decode())
    )


def main() -> None:
    parser = argparse.ArgumentParser(usage=(__doc__ or "").split("\n\n", maxsplit=2)[1])
    parser.add_argument("file", type=Path)
    parser.add_argument("--credentials", type=Path)
    arguments = parser.parse_args()
    file: Path = arguments.file
    lines = file.read_text().splitlines() if file.exists() else []
    known = dict(line.split(":", 1) for line in lines if line)
    known |= {name: entry(secret) for name, secret in csv.reader(sys.stdin)}
    if arguments.credentials:
        there = json.loads(arguments.credentials.read_bytes())
        known = {name: known[name] for name in known if name in there["units"] or name in there["services"]}
    fresh = file.with_suffix(".new")
    fresh.touch(mode=0o600)
    if file.exists():
        os.chown(fresh, file.stat().st_uid, file.stat().st_gid)
    fresh.write_text("".join(f"{name}:{hashed}\n" for name, hashed in sorted(known.items())))
    fresh.replace(file)


if __name__ == "__main__":
    main()
