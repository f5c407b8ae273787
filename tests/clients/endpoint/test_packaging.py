"""The endpoint can be distributed by itself: its requirements are complete, and its installation files are valid."""

import ast
import sys
import tomllib
import xml.etree.ElementTree as ET
from configparser import RawConfigParser
from pathlib import Path

import pytest

from clients.endpoint import errors, upload

ROOT = Path(__file__).resolve().parents[3]
ENDPOINT = ROOT / "clients" / "endpoint"
MODULES = sorted(ENDPOINT.rglob("*.py"))
PROJECT = tomllib.loads((ENDPOINT / "pyproject.toml").read_text("utf-8"))
DEPENDENCIES = {"joserfc", "click", "openpyxl", "requests", "segno"}


def imports(path):
    """The names of the packages that a module imports, and how many levels up a relative import goes."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0], node.level


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ENDPOINT)))
def test_modules_import_only_declared_dependencies_and_nothing_else_of_the_repository(path):
    depth = len(path.relative_to(ENDPOINT).parts)
    for name, level in imports(path):
        assert level <= depth
        assert level or name in DEPENDENCIES or name in sys.stdlib_module_names


def test_the_package_requires_the_same_versions_as_the_repository():
    everything = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]

    assert sorted(requirement.split()[0] for requirement in PROJECT["project"]["dependencies"]) == sorted(DEPENDENCIES)
    assert set(PROJECT["project"]["dependencies"]) <= set(everything)


def test_every_folder_with_modules_is_installed():
    folders = {path.parent.relative_to(ENDPOINT) for path in MODULES}
    names = {".".join(("xporter_endpoint", *folder.parts)) for folder in folders}

    assert set(PROJECT["tool"]["setuptools"]["packages"]) == names
    assert set(PROJECT["tool"]["setuptools"]["package-dir"]) == names


def test_the_services_run_the_command_that_is_installed():
    unit = RawConfigParser(strict=False)
    unit.read(ENDPOINT / "service" / "xporter-endpoint.service", "utf-8")
    task = ET.parse(ENDPOINT / "service" / "xporter-endpoint.xml").getroot()
    [arguments] = [element.text for element in task.iter() if element.tag.endswith("Arguments")]

    assert list(PROJECT["project"]["scripts"]) == ["xporter-endpoint"]
    assert unit["Service"]["execstart"].endswith("/xporter-endpoint --home /var/lib/xporter-endpoint run --quiet")
    assert unit["Service"]["restartpreventexitstatus"] == "3"
    assert arguments.endswith("run --quiet")


def test_the_guide_explains_every_code():
    guide = (ENDPOINT / "README.md").read_text("utf-8")
    codes = {
        cls.code
        for module in (errors, upload)
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, errors.AgentError)
    }

    assert {"disk_full", "not_registered", "extract_refused"} <= codes
    assert sorted(code for code in codes - {"failed", "refused", "school_unverified"} if f"`{code}`" not in guide) == []
