"""The documentation holds: its code and commands run, it names every public object, it builds."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from datagen.policies import ExitPolicy
from surrogate.models import DeploymentNetwork
from tests.conftest import REPOSITORY
from tests.contracts.models import ModelContract
from tests.datagen.policies.contract import ExitPolicyContract
from tests.pages import Block, blocks, insert, run_page

DOCS = REPOSITORY / "docs"

IN_THE_SOURCES = ("extending/law.md", "extending/arrivals.md")
"""Pages whose blocks are parts of modules: tried in a copy of the sources."""

INCLUDED = ("changelog.md", "contributing.md")
"""Pages whose text is another file's."""

DOORS = [
    ".".join(file.parent.relative_to(REPOSITORY).parts)
    for package in ("datagen", "surrogate")
    for file in sorted((REPOSITORY / package).rglob("__init__.py"))
]

ADDRESS = re.compile(r"""(?:src|href)=["']?(?:https?:)?//[^"'\s>]+|url\((?:https?:)?//[^)]+\)""")

LINK = re.compile(r"<a\s[^>]*>", re.DOTALL)
"""What a reader may follow; it is not fetched to show the page."""


def name(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


def written_pages() -> list[Path]:
    pages = [page for page in sorted(DOCS.rglob("*.md")) if page.parent.name != "reference"]
    return [page for page in pages if name(page) not in INCLUDED]


def pages_run_here() -> list[Path]:
    return [page for page in written_pages() if name(page) not in IN_THE_SOURCES and blocks(page)]


@pytest.mark.parametrize("page", pages_run_here(), ids=name)
def test_the_blocks_of_a_page_run(page: Path, desk: Path) -> None:
    run_page(page)


def test_every_block_is_of_a_language_that_is_run() -> None:
    known = {"python", "sh", "bash", "yaml", "text"}
    wrong = [
        f"{name(page)}:{block.line} {block.language}"
        for page in written_pages()
        for block in blocks(page)
        if block.language not in known or (block.language == "yaml" and block.title is None)
    ]
    assert not wrong, wrong


def test_a_block_that_does_not_work_is_found(desk: Path) -> None:
    wrong = {
        "a failing command": "```sh\ndatagen validate nowhere\n```\n",
        "failing Python": "```python\nassert 1 == 2\n```\n",
        "an unknown option": "```bash\ndatagen describe data --fast\n```\n",
        "an unknown command": "```bash\nsurrogate guess data\n```\n",
    }
    for text in wrong.values():
        (desk / "page.md").write_text(text)
        with pytest.raises(AssertionError):
            run_page(desk / "page.md")


def test_a_block_finds_its_place_or_says_so(tmp_path: Path) -> None:
    file = tmp_path / "part.py"
    file.write_text("one\n    two,\nthree\n")
    page = tmp_path / "page.md"
    page.write_text('```text title="part.py, below: two,"\n    new,\n```\n')
    (block,) = blocks(page)
    insert(block, tmp_path)
    assert file.read_text() == "one\n    two,\n    new,\nthree\n"
    file.write_text("two,\ntwo,\n")
    with pytest.raises(AssertionError, match="in 2 lines"):
        insert(block, tmp_path)


def documented_additions(page: str) -> tuple[list[Block], str]:
    """The blocks of a page that belong into the sources, and the code that uses them."""
    found = blocks(DOCS / page)
    code = "".join(block.text for block in found if block.title is None)
    return [block for block in found if block.title is not None], code


def test_a_law_and_a_process_can_be_added_as_described(tmp_path: Path) -> None:
    shutil.copytree(
        REPOSITORY / "datagen",
        tmp_path / "datagen",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    script = tmp_path / "use.py"
    parts = []
    for page in IN_THE_SOURCES:
        additions, code = documented_additions(page)
        assert len(additions) >= 2
        assert "assert" in code
        for block in additions:
            insert(block, tmp_path)
        parts.append(code)
    script.write_text("\n".join(parts), encoding="utf-8")
    # Not compiled: the copy's kernels would be, for what a few hundred jobs need.
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


class TestDocumentedModel(ModelContract):
    """The laws of models hold for the one that the documentation writes."""

    @pytest.fixture
    def build(self) -> Callable[[], DeploymentNetwork]:
        (block,) = (
            block for block in blocks(DOCS / "extending/model.md") if block.title == "my_models.py"
        )
        names: dict[str, type[DeploymentNetwork]] = {}
        exec(compile(block.text, "my_models.py", "exec"), names)
        return lambda: names["Local"](8)


class TestDocumentedPolicy(ExitPolicyContract):
    """What all exit policies keep, the one that the documentation writes keeps too."""

    @pytest.mark.parametrize("edges", [False, True], ids=["gateway", "edges"])
    def test_contract(self, edges: bool) -> None:
        (block,) = (
            block for block in blocks(DOCS / "extending/policy.md") if block.title == "impatient.py"
        )
        names: dict[str, type[ExitPolicy]] = {}
        exec(compile(block.text, "impatient.py", "exec"), names)
        self.check(lambda edges: names["Impatient"](), edges=edges)


def documented_names() -> set[str]:
    """Modules and objects that a reference page has an entry of."""
    text = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    return set(re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE))


@pytest.mark.parametrize("door", DOORS)
def test_every_public_object_has_an_entry(door: str) -> None:
    documented = documented_names()
    module = import_module(door)
    imports = imported_from(door)
    missing = []
    for public in getattr(module, "__all__", ()):
        value = getattr(module, public)
        home = imports.get(public) or getattr(value, "__module__", door)
        if home not in documented:
            missing.append(f"{public} of {home}")
    assert not missing, missing


def imported_from(door: str) -> dict[str, str]:
    """Name -> module for what a door imports, constants included."""
    tree = ast.parse((REPOSITORY.joinpath(*door.split(".")) / "__init__.py").read_text())
    return {
        alias.asname or alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
        if (REPOSITORY.joinpath(*node.module.split("."))).with_suffix(".py").is_file()
    }


def cited() -> Iterator[tuple[str, str]]:
    """File and first name of every source that a docstring names under References."""
    for package in ("datagen", "surrogate"):
        for file in sorted((REPOSITORY / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    continue
                text = ast.get_docstring(node) or ""
                for section in re.findall(r"^References?:\n((?: .*\n?)+)", text, re.MULTILINE):
                    entries = re.findall(r"^    (\S[^,]*),", section, re.MULTILINE)
                    yield from ((file.name, entry) for entry in entries[:1])


def test_every_source_that_is_cited_is_listed() -> None:
    listed = (DOCS / "references.md").read_text(encoding="utf-8")
    found = list(cited())
    assert len(found) > 20
    missing = [f"{file}: {entry}" for file, entry in found if entry not in listed]
    assert not missing, missing


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as `make docs` builds it."""
    if find_spec("mkdocs") is None:
        pytest.skip("the extra docs is not installed")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)],
        cwd=REPOSITORY,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_has_every_page(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS)).with_suffix(".html").is_file(), page
    reference = (site / "reference" / "optimizers.html").read_text(encoding="utf-8")
    assert 'id="surrogate.optimizers.place.place"' in reference
    assert ":class:`" not in reference


def test_no_page_of_the_site_fetches_anything_from_elsewhere(site: Path) -> None:
    files = [file for kind in ("html", "css") for file in site.rglob(f"*.{kind}")]
    assert len(files) > 20
    wrong = {
        f"{file.relative_to(site)}: {found}"
        for file in files
        for found in ADDRESS.findall(LINK.sub("", file.read_text(encoding="utf-8")))
    }
    assert not wrong, sorted(wrong)
