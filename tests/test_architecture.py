"""The house rules that a reader would otherwise have to check by hand. Floors are import-linter's business."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "idp").rglob("*.py"))
MODULES = [path for path in SOURCES if "versions" not in path.parts]
CLIENTS = sorted((ROOT / "clients").rglob("*.py"))
TEMPLATES = sorted((ROOT / "idp" / "templates").rglob("*.*"))


def name(path):
    return str(path.relative_to(ROOT))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def calls(path):
    """Every call in a module as (dotted name, node)."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_is_small_enough_to_have_one_reason(path):
    assert len(path.read_text("utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_function_fits_on_a_screen(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 60, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_says_what_it_is_for(path):
    if path.read_text("utf-8").strip():
        assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


def test_every_room_has_a_front_door():
    rooms = {path.parent for path in MODULES if "foundation/web" not in name(path)}
    without = [name(room) for room in rooms if not (room / "__init__.py").exists()]

    assert without == []


def test_clients_know_us_only_by_protocol():
    assert CLIENTS
    for path in CLIENTS:
        assert not [module for module in imports(path) if module.split(".")[0] == "idp"], name(path)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_requests_leave_by_one_door(path):
    if name(path) in {"idp/foundation/web/fetch.py", "idp/demo/processes.py"}:
        return  # the door; and the demonstration, which asks this machine alone whether its programs are up
    out = {"requests", "urllib3", "httpx", "http.client", "urllib.request", "aiohttp"}
    assert not out & set(imports(path))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_nobody_commits_but_the_transaction(path):
    if name(path) in {"idp/foundation/web/transactions.py", "idp/migrations/__init__.py"}:
        return
    assert not [call for call, _ in calls(path) if call.endswith(".commit")]


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_chance_comes_from_the_system_and_digests_are_strong(path):
    assert "random" not in set(imports(path))
    weak = {"hashlib.md5", "hashlib.sha1", "hashlib.new"}
    assert not [call for call, _ in calls(path) if call in weak]


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_secrets_are_compared_in_constant_time(path):
    if "schools" in path.parts:
        return  # digests of public rows
    telling = re.compile(r"\b(secret|digest|token|password|signature|mac)\b", re.IGNORECASE)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            left, right = ast.unparse(node.left), ast.unparse(node.comparators[0])
            column = re.search(r"\.c\.|^[A-Z]\w+\.", left)  # SQL, where an index finds the digest
            plain = isinstance(node.comparators[0], ast.Constant)
            assert column or plain or not (telling.search(left) and telling.search(right)), ast.unparse(node)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_sql_is_never_glued_from_strings(path):
    if name(path) == "idp/schools/bulk.py":
        return  # the names of our own tables and columns, for 52,000 rows at a time; its values are bound
    for call, node in calls(path):
        if call.rsplit(".", 1)[-1] in {"text", "execute", "exec_driver_sql"} and node.args:
            first = node.args[0]
            glued = isinstance(first, ast.BinOp) or (
                isinstance(first, ast.JoinedStr) and any(isinstance(part, ast.FormattedValue) for part in first.values)
            )
            assert not glued, ast.unparse(node)


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_templates_escape_everything_and_carry_no_script_or_style(path):
    text = path.read_text("utf-8")
    assert "|safe" not in text.replace(" ", "")
    assert "autoescape false" not in text
    if "mail" not in path.parts:
        assert not re.search(r"\son\w+=|\sstyle=|javascript:", text, re.IGNORECASE)
        assert not re.search(r"<script(?![^>]*(?:src|nonce)=)", text, re.IGNORECASE)


def test_the_school_is_never_spoken_to_in_our_jargon():
    jargon = re.compile(r"\b(OAuth|scopes?|clients?|tokens?|consent)\b", re.IGNORECASE)
    for room in ("onboarding", "signin", "schools", "manage"):
        for path in (ROOT / "idp" / "templates" / room).rglob("*.html"):
            words = re.sub(r"{[{%#].*?[}%#]}|<[^>]*>", " ", path.read_text("utf-8"), flags=re.DOTALL)
            assert not jargon.search(words), f"{name(path)}: {jargon.search(words)}"


def lint_imports(root):
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(root), "COLUMNS": "200"},
    )


def dotted(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_the_floors_hold():
    done = lint_imports(ROOT)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("forbidden", ["authlib", "flask"])
def test_a_library_is_kept_out_of_every_module_that_has_no_business_with_it(tmp_path, forbidden):
    """Plant its import in every module of the tree that has none: each is named, but where it may be known."""
    shutil.copytree(ROOT / "idp", tmp_path / "idp", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    planted = set()
    for path in MODULES:
        if forbidden not in {module.split(".")[0] for module in imports(path)}:
            copy = tmp_path / path.relative_to(ROOT)
            copy.write_text(copy.read_text("utf-8") + f"\nimport {forbidden}\n", "utf-8")
            planted.add(dotted(path))
    if forbidden == "authlib":
        may = {name for name in planted if name.startswith("idp.oidc.")}
    else:
        may = {name for name in planted if name.startswith("idp.foundation.web.")}
        may |= {name for name in planted if name.endswith(".views") and name.count(".") == 2}

    told = lint_imports(tmp_path)
    assert told.returncode == 1
    assert set(re.findall(rf"(idp[\w.]*) -> {forbidden} ", told.stdout)) == planted - may


def test_the_readme_maps_the_tree():
    readme = (ROOT / "README.md").read_text("utf-8")
    rooms = [path.name for path in (ROOT / "idp").iterdir() if (path / "__init__.py").exists()]

    assert [room for room in rooms if f"{room}/" not in readme] == []
