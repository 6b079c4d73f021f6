"""Write the tables of settings into docs/operations.md, from fleetcell/settings.py.

    python tools/settings_table.py            write them
    python tools/settings_table.py --check    exit 1 where the document differs

Needs fleetcell installed: .venv/bin/python.
"""

import re
import sys
from pathlib import Path, PurePath

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from fleetcell.settings import PREFIX, SERVICES, Settings

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "operations.md"


def tables() -> dict[str, str]:
    """Markdown by name: `common` for what every service reads, then a table for each service."""
    common = Settings.model_fields
    found = {"common": table(common)}
    for name, kind in SERVICES.items():
        own = {field: info for field, info in kind.model_fields.items() if field not in common}
        found[name] = table(own)
    return found


def table(fields: dict[str, FieldInfo]) -> str:
    rows = [
        f"| `{PREFIX}{name.upper()}` | {default(info)} | {info.description or ''} |"
        for name, info in fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.default
    if value is None or value == []:
        return ""
    if isinstance(value, SecretStr):
        return "a secret"
    return f"`{value.as_posix() if isinstance(value, PurePath) else value}`"


def filled(document: str) -> str:
    """The document with each `<!-- settings: NAME -->` ... `<!-- end -->` filled anew.

    Raises:
        ValueError: a table of the settings has no place in the document.
    """
    for name, content in tables().items():
        place = re.compile(rf"(<!-- settings: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not place.search(document):
            raise ValueError(f"{DOCUMENT.name} has no place for the settings of {name}")
        document = place.sub(lambda found, content=content: f"{found[1]}{content}\n{found[2]}", document)  # type: ignore[misc]
    return document


def main() -> int:
    document = DOCUMENT.read_text(encoding="utf-8")
    fresh = filled(document)
    if sys.argv[1:] == ["--check"]:
        if fresh != document:
            print(
                f"{DOCUMENT.name} differs from the settings: run python tools/settings_table.py",
                file=sys.stderr,
            )
            return 1
        return 0
    DOCUMENT.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
