"""Clients depend on a URL and on standards, and on no code of the provider."""

import ast
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parents[2] / "clients"
MODULES = sorted(CLIENTS.rglob("*.py"))


def test_every_client_package_is_checked():
    assert {"assembly", "endpoint", "mailbox", "xporter"} <= {module.parent.name for module in MODULES}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(CLIENTS)))
def test_no_client_imports_the_provider_or_another_client(module):
    imported = set()
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        if isinstance(node, ast.ImportFrom):
            imported |= {f"{node.module}.{name.name}" for name in node.names}

    own = ".".join(["clients", *module.relative_to(CLIENTS).parts[:1]]) + "."
    assert [name for name in imported if f"{name}.".startswith("idp.")] == []
    assert [name for name in imported if name.startswith("clients.") and not f"{name}.".startswith(own)] == []
