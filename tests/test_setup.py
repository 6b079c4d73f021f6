"""tools/setup.py: what it says where it cannot work, and what it skips."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "tools" / "setup.py"


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, at work in a folder of this test's own."""
    spec = importlib.util.spec_from_file_location("fleetcell_setup", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "VENV_PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(module, "CACHE", tmp_path / ".cache")
    return module


def pretend(preparation: str) -> subprocess.CompletedProcess[str]:
    """The script in a Python that was prepared to look like another one, on an empty PATH."""
    code = f"import sys, runpy\n{preparation}\nrunpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", code, "python"], check=False, env={"PATH": ""}, capture_output=True, text=True
    )


def test_old_python_is_refused_with_the_command_that_helps() -> None:
    result = pretend("sys.version_info = (3, 9, 2, 'final', 0)")
    assert result.returncode == 1
    assert "needs Python 3.11 or newer; this is 3.9" in result.stderr
    assert "apt-get install" in result.stderr
    assert "Traceback" not in result.stderr


def test_missing_venv_module_is_named_with_its_package() -> None:
    result = pretend(
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name: None if name == 'ensurepip' else find(name)"
    )
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert result.returncode == 1
    assert f"sudo apt-get install python{version}-venv" in result.stderr
    assert "Traceback" not in result.stderr


def test_script_can_be_read_by_an_old_python() -> None:
    """Newer syntax would be a SyntaxError instead of the message."""
    ast.parse(SCRIPT.read_text(), feature_version=(3, 7))


def test_environment_is_made_once_and_anew_after_a_move(setup: ModuleType, tmp_path: Path) -> None:
    assert not setup.environment_works()
    setup.create_environment()
    assert setup.environment_works()
    python = tmp_path / ".venv" / "bin" / "python"
    assert subprocess.run([python, "-c", "import pip"], check=False).returncode == 0
    setup.venv_marker().write_text("3.11 /somewhere/else/.venv")
    assert not setup.environment_works()


def test_environment_in_a_folder_of_any_name_starts_in_any_locale(
    setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "Flotte à Zürich"
    monkeypatch.setattr(setup, "ROOT", root)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], check=True)
    (root / "here.py").write_text("")
    packages = root / ".venv" / "lib" / "python{}.{}".format(*sys.version_info[:2]) / "site-packages"
    link = packages / "_editable_impl_fleetcell.pth"
    link.write_text(f"{root}\n{root}\n", encoding="utf-8")  # as pip leaves it: a line a package
    other = packages / "_editable_impl_other.pth"
    other.write_text("/elsewhere\n", encoding="utf-8")
    setup.make_link_relative(packages)
    assert other.read_text() == "/elsewhere\n"
    for locale in ("C", "C.UTF-8"):
        command = [str(root / ".venv" / "bin" / "python"), "-c", "import here"]
        found = subprocess.run(
            command, check=False, cwd=tmp_path, env={"LC_ALL": locale}, capture_output=True, text=True
        )
        assert found.returncode == 0, found.stderr


def test_digest_follows_content_and_names(setup: ModuleType, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    first = setup.digest([one, two])
    assert setup.digest([one, two]) == first
    two.write_text("3")
    assert setup.digest([one, two]) != first
    two.write_text("2")
    assert setup.digest([one]) != first
    one.rename(tmp_path / "other")
    assert setup.digest([tmp_path / "other", two]) != first


@pytest.mark.parametrize(
    ("text", "version"), [("v20.19.1\n", (20, 19, 1)), (">=20.19", (20, 19)), ("", ()), ("v9", (9,))]
)
def test_versions_are_compared_as_numbers(setup: ModuleType, text: str, version: tuple[int, ...]) -> None:
    assert setup.version_of(text) == version


def test_failed_step_shows_the_end_of_its_log(setup: ModuleType, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"]
    with pytest.raises(setup.SetupError, match="the reason") as failure:
        setup.run("build a thing", command, cwd=tmp_path)
    assert str(tmp_path / ".cache" / "setup" / "build-a-thing.log") in str(failure.value)
    with pytest.raises(setup.SetupError, match="no-such-program"):
        setup.run("start a thing", ["no-such-program"], cwd=tmp_path)
