"""What the documentation names is there."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PACKAGES = {path.name for path in (ROOT / "idp").iterdir() if (path / "__init__.py").exists()}


def resolves(dotted):
    """Whether `onboarding.verify` or `oidc.server.build` is a module below idp, or a name in one."""
    parts = ["idp", *dotted.split(".")]
    for length in range(len(parts), 1, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_of_the_project_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", page.read_text("utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_that_are_named_exist(page):
    paths = re.findall(r"`((?:idp|tests|config|docs|clients|bench)/[\w./-]+)`", page.read_text("utf-8"))

    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_modules_and_functions_that_the_architecture_names_exist():
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    names = {each for each in re.findall(r"`([a-z_]+(?:\.\w+)+)`", text) if each.split(".")[0] in PACKAGES}

    assert len(names) > 20
    assert sorted(each for each in names if not resolves(each)) == []
