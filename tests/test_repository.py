"""What the repository promises about itself: true documents, reasoned dependencies, no machine's traces."""

import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

import benchmarks.__main__
from fleetcell.cli import app

ROOT = Path(__file__).resolve().parent.parent

# Words are in pieces so that this file does not find itself.
HOME_FOLDER = re.compile(r"(?<![\w.~*-])/(?:ho" r"me|Use" r"rs|ro" r"ot)/[\w.]")
# Deployment addresses services inside their containers.
CONTAINER_FILES = {"Dockerfile", "compose.yaml"}


@cache
def tracked() -> tuple[Path, ...]:
    """The files in git; whoever owns the clone, a CI service's user for instance."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listing = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    names = listing.decode().split("\0")
    return tuple(ROOT / name for name in names if name and (ROOT / name).is_file())


def texts() -> list[tuple[Path, str]]:
    found = []
    for path in tracked():
        try:
            found.append((path, path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:  # a picture or packed data
            continue
    return found


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {found.group()}"
        for path, text in texts()
        if path.name not in CONTAINER_FILES
        for found in HOME_FOLDER.finditer(text)
    ]
    assert not broken


def test_pinned_versions_name_no_host() -> None:
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    odd = [line for line in pins if not re.fullmatch(r"[a-z0-9._-]+==[\w.+!-]+( ; .+)?", line)]
    assert not odd
    assert len(pins) > 50


def test_lock_file_of_the_web_front_end_names_no_host() -> None:
    lock = json.loads((ROOT / "dashboard" / "web" / "package-lock.json").read_text())
    broken = [name for name, package in lock["packages"].items() if "://" in package.get("resolved", "")]
    assert not broken
    assert all("integrity" in package for name, package in lock["packages"].items() if name)


def test_every_dependency_is_pinned_and_says_why_it_is_there() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(pyproject)["project"]
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    declared = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        declared += extra
    broken = []
    for requirement in declared:
        name = re.split(r"[<>=!;\[ ]", requirement)[0].lower().replace("_", "-")
        if name == "fleetcell":
            continue
        if not re.search(rf'"{re.escape(requirement)}",?\s*#\s*\S', pyproject):
            broken.append(f"{name} has no comment")
        if name not in pinned:
            broken.append(f"{name} is not in constraints.txt")
    assert not broken


def test_settings_tables_are_those_of_the_code() -> None:
    command = [sys.executable, "tools/settings_table.py", "--check"]
    result = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


# -- documents -------------------------------------------------------------------------------------


def documents() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".md"]


def prose(path: Path) -> str:
    """A document without its code blocks."""
    return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """The anchors that a Markdown viewer makes of the headings."""
    headings = re.findall(r"^#+ +(.+)$", prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (document.parent / name).resolve() if name else document
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.append(target)
    assert not broken


def shell_lines(path: Path) -> list[str]:
    """The commands of a document's shell blocks, comments cut off and continued lines joined."""
    blocks = re.findall(
        r"^```(?:sh|bash|console)\n(.*?)^```", path.read_text(), flags=re.MULTILINE | re.DOTALL
    )
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [re.sub(r"(^|\s)#.*", "", line).strip().removeprefix("$ ") for line in lines]


def documented_commands(pattern: str) -> list[tuple[Path, str]]:
    return [
        (path, found.group(1).strip())
        for path in documents()
        for line in shell_lines(path)
        for found in re.finditer(pattern, line)
    ]


def test_documented_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    used = documented_commands(r"(?:^|&& )make ((?:[A-Z_]+=\S+ )*[a-z]+)")
    assert used
    assert not [(path.name, command) for path, command in used if command.split()[-1] not in targets]


def test_documented_fleetcell_commands_and_options_exist() -> None:
    used = documented_commands(r"(?:^|[|&;] *|/)fleetcell((?: [^|&;]+)?)")
    assert used
    broken = [
        f"{path.name}: fleetcell {command}: {why}" for path, command in used if (why := misuse(command))
    ]
    assert not broken


def misuse(command: str) -> str | None:
    """What `fleetcell` would not understand in a command line: a subcommand or an option."""
    current: Any = typer.main.get_command(app)
    words = command.split()
    while words and hasattr(current, "commands") and not words[0].startswith("-"):
        name = words.pop(0)
        found = current.commands.get(name)
        if found is None:
            return f"no command {name}"
        current = found
    known = {
        option for parameter in current.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    known |= {"--help", "-h"}
    unknown = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    return next((f"no option {word}" for word in unknown if word not in known), None)


def test_misuse_is_found() -> None:
    assert misuse("up --vehicles 5") is None
    assert misuse("up --wheels 5") == "no option --wheels"
    assert misuse("sim fly") == "no command fly"


def test_documented_benchmarks_exist() -> None:
    names = set(benchmarks.__main__.names())
    used = documented_commands(r"python3? -m benchmarks ([a-z]+)")
    assert not [(path.name, name) for path, name in used if name not in names]
