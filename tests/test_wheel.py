"""The wheel holds the two packages and the released models, and works where nothing else is."""

from __future__ import annotations

import re
import shutil
import site
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

OLDEST_SETUPTOOLS = 77
"""The first major version that reads the licence of pyproject.toml."""

SHIPPED_FILES = (
    "README.md",
    "calibration.npz",
    "config.json",
    "metrics.json",
    "model.safetensors",
    "test.npz",
)
"""Files of a checkpoint: weights, what they are, how good they are, and recorded traces."""

SOURCES = (
    "datagen",
    "surrogate",
    "checkpoints",
    "tests",
    "docs",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "setup.py",
)
"""What a build might take something from, wanted or not."""


def setuptools_fits() -> bool:
    try:
        return int(version("setuptools").split(".")[0]) >= OLDEST_SETUPTOOLS
    except PackageNotFoundError:
        return False


pytestmark = pytest.mark.skipif(
    not setuptools_fits(), reason=f"a build needs setuptools >= {OLDEST_SETUPTOOLS}"
)


def pip(*words: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words], check=True
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network from a copy: a build leaves things beside its sources."""
    clone, out = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source = REPOSITORY / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(source, clone / name, ignore=ignored)
        else:
            shutil.copy(source, clone / name)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(clone))
    (built,) = out.glob("*.whl")
    return built


def test_holds_the_packages_and_the_models_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    about = {name for name in names if re.match(r"edge_surrogate-[^/]+\.dist-info/", name)}
    expected = {
        str(file.relative_to(REPOSITORY))
        for package in ("datagen", "surrogate")
        for kind in ("*.py", "py.typed")
        for file in (REPOSITORY / package).rglob(kind)
    }
    models = {
        f"surrogate/checkpoints_data/{file.relative_to(REPOSITORY / 'checkpoints')}"
        for name in SHIPPED_FILES
        for file in (REPOSITORY / "checkpoints").glob(f"*/{name}")
    }
    assert any(name.endswith("/LICENSE") for name in about)
    assert sum(name.endswith("/model.safetensors") for name in models) >= 1
    assert names - about == expected | models


@pytest.mark.slow
def test_installed_alone_the_example_of_the_readme_runs(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    pip("--python", str(python), "install", "--no-deps", str(wheel))
    (packages,) = home.glob("lib/python*/site-packages")
    # What the wheel depends on; a line of a .pth file opens no other .pth file, so that an editable
    # installation of the same packages over there stays unseen.
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    example += "import surrogate\nprint(surrogate.__file__)\n"
    run = [str(python), "-c", example]
    said = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "camera0" in said
    assert said.splitlines()[-1].startswith(str(packages))
    for program in ("datagen", "surrogate"):
        subprocess.run([str(home / "bin" / program), "--help"], check=True, capture_output=True)
