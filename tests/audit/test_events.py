"""Every event that is recorded is in the list of events, and every event in the list is recorded somewhere."""

import ast
from pathlib import Path

from idp.audit import events

ROOT = Path(__file__).resolve().parents[2]
CONSTANTS = {name: value for name, value in vars(events).items() if name.isupper()}
TREES = {path: ast.parse(path.read_text("utf-8")) for path in sorted((ROOT / "idp").rglob("*.py"))}


def named_events(tree):
    """The constants that a module names, as `events.SIGNED_IN`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "events":
            yield node.attr


def test_every_declared_event_is_recorded_somewhere():
    assert set(CONSTANTS) - {name for tree in TREES.values() for name in named_events(tree)} == set()


def test_no_two_events_have_the_same_name():
    assert len(set(CONSTANTS.values())) == len(CONSTANTS) > 40


def test_events_are_recorded_by_constants_and_not_by_literals():
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "log.record":
                literal = [part for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)]
                assert not literal, f"{path}, line {node.lineno}"
