"""Check references to tests in documents, such as `tests/signin/test_reset.py::TestCode::test_it_works`."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@cache
def names_in(path: str) -> frozenset[str]:
    """The tests and test classes in a file below the project's root, as pytest names them; none if there is no such
    file.
    """
    try:
        module = ast.parse((ROOT / path).read_text("utf-8"))
    except OSError:
        return frozenset()
    return frozenset(_names(module.body, ""))


def _names(body: list[ast.stmt], before: str) -> list[str]:
    names = []
    for statement in body:
        if isinstance(statement, ast.ClassDef) and statement.name.startswith("Test"):
            inner = _names(statement.body, f"{before}{statement.name}::")
            names += [f"{before}{statement.name}", *inner] if inner else []
        elif isinstance(statement, ast.FunctionDef) and statement.name.startswith("test_"):
            names.append(f"{before}{statement.name}")
    return names


def names_a_test(reference: str) -> bool:
    """Whether `path::name`, or a path alone, names at least one test."""
    path, _, name = reference.partition("::")
    return name in names_in(path) if name else bool(names_in(path))
