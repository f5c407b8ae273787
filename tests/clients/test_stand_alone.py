"""Clients know an address and the standards, and nothing of ours."""

import ast
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parents[2] / "clients"
MODULES = sorted(CLIENTS.rglob("*.py"))


def test_there_are_clients_to_look_at():
    assert {"assembly", "mailbox", "sample_api"} <= {module.parent.name for module in MODULES}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(CLIENTS)))
def test_no_client_imports_the_provider(module):
    imported = set()
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        if isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])

    assert "idp" not in imported
