"""Phrases that people at schools found hard to understand, and may not come back."""

import ast
import re

import pytest
from jinja2 import nodes

from idp.foundation.setting_types import ROOT

HARD_PHRASES = (
    "if it does already, that is all", "decided lately", "need do nothing", "good for nothing", "authorise it anew",
    "from this moment on", "drawn by chance", "half done", "goes on, please", "it still has", "nothing of this",
    "may only know", "people of your school", "what needs doing", "for that we have to", "all that is missing",
    "do not belong together", "holds a character", "does not work that way", "at fault",
    "had:", "may have:", "if none arrives", "keep you signed in until",
    "nothing there?", "where you began you can", "need to do nothing", "invite anew", "so often lately", "had us send",
    "it holds at once", "have still to check",
    "goes on as", "goes on until", "go on as before", "carry on", "carries on",
    "sends nothing any more", "by a new code", "gets a mail",
    "get a mail", "all the same", "failed lately", "scope about data", "shown this once", "have an account already",
)  # fmt: skip
"""In lower case. A phrase may contain markup, so they are searched for in the text without it."""

TEMPLATES = sorted(path for path in (ROOT / "idp/templates").rglob("*.*"))
MODULES = sorted(path for path in (ROOT / "idp").rglob("*.py") if "cli" not in path.stem)
NOT_SEEN = re.compile(r"<[^>]+>")


def phrases_in(text):
    """The phrases in `text`, as a reader sees it."""
    plain = " ".join(NOT_SEEN.sub("", text).lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
    return [phrase for phrase in HARD_PHRASES if re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", plain)]


def test_a_phrase_is_recognised_through_markup_and_in_any_case():
    assert phrases_in("<p>You <strong>need do\n nothing</strong> but wait.</p>") == ["need do nothing"]
    assert phrases_in("Decided Lately") == ["decided lately"]
    assert phrases_in("a new school and a janitor") == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "idp/templates")))
def test_no_template_has_a_hard_phrase(app, path):
    parsed = app.jinja_env.parse(path.read_text(encoding="utf-8"))
    texts = [text.data for text in parsed.find_all(nodes.TemplateData)]
    texts += [str(text.value) for text in parsed.find_all(nodes.Const)]

    assert phrases_in(" ".join(texts)) == []


def test_no_message_has_a_hard_phrase():
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
        ]
        assert [(path.name, text, phrases_in(text)) for text in texts if phrases_in(text)] == []


TEXT_FILES = [
    *TEMPLATES,
    *sorted((ROOT / "clients").rglob("templates/*.html")),
    *sorted((ROOT / "config").glob("*.toml")),
    *sorted((ROOT / "idp/developers/software").rglob("quick_start.toml")),
]
TYPOGRAPHIC = re.compile(
    r"[\u201c\u201d]|(?<=\w)[\u2018\u2019]|[\u2018\u2019](?=\w)|&[lr][sd]quo;|&#82(?:16|17|20|21);"
)
"""Quotation marks and apostrophes other than " and '. Texts have the straight ones (CONTRIBUTING.md)."""


def test_texts_have_straight_quotation_marks_and_apostrophes():
    found = [str(path.relative_to(ROOT)) for path in TEXT_FILES if TYPOGRAPHIC.search(path.read_text(encoding="utf-8"))]
    for path in sorted([*(ROOT / "idp").rglob("*.py"), *(ROOT / "clients").rglob("*.py")]):
        if path.parent.name == "fictional_school":  # its names are as a school's system may have them
            continue
        found += [
            f"{path.relative_to(ROOT)}: {node.value}"
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and TYPOGRAPHIC.search(node.value)
        ]

    assert found == []
