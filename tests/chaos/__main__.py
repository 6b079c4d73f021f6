"""Kill ingest at every await of storing a batch, and a unit's spool at every byte that it writes.

python -m tests.chaos
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.chaos import ingest_crash, spool_crash
from tests.postgres_servers import PlainServer, fresh_database, serving


def main() -> int:
    sys.stdout.write("a spool, killed at every byte\n")
    failed = spool_crash.main([])
    sys.stdout.write("ingest, killed at every await of storing a batch\n")
    with tempfile.TemporaryDirectory(prefix="fleetcell-") as folder:
        Path(folder).chmod(0o755)  # the server may run as another user
        server = PlainServer(Path(folder) / "postgres")
        with serving(server), fresh_database(server) as database:
            failed += ingest_crash.main([database.owner])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
