"""What the documentation names exists, and so does every part of it that code, tests and documentation cite.

A citation is a page and what follows it: `protocol.md §2.2`, `protocol.md §4.2, 13` (item 13 of that section),
`performance.md section 3`, `security.md S27`, `security.md rules 3 and 5`.
"""

import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CITING = sorted(
    path
    for pattern in ("*.*", *(f"{top}/**/*.*" for top in ("idp", "tests", "clients", "config", "bench", "docs")))
    for path in ROOT.glob(pattern)
    if path.suffix in {".py", ".toml", ".md", ".html", ".js", ".css"}
    and "vendor" not in path.parts
    and path != Path(__file__).resolve()
)
CITATION = re.compile(
    r"""\b(?P<page>[a-z][\w-]*\.md)\)?(?:",)?[ ]"?
    (?P<parts>(?:§|sections?[ ]|rules?[ ]|(?=[SB]\d)|(?<=")(?=\d))
    [SB]?\d+(?:\.\d+)*
    (?:(?:,[ ]|[ ]and[ ]|[-–])§?[SB]?\d+(?:\.\d+)*\b(?![ ]?%))*)""",
    re.VERBOSE,
)
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


@cache
def parts_of(name):
    """The parts that a page has: numbers of sections, identifiers, items of a section (`4.2, 13`); None without it."""
    pages = [page for page in PAGES if page.name == name]
    if len(pages) != 1:
        return None
    parts, sections = set(), []
    for line in pages[0].read_text("utf-8").splitlines():
        if heading := re.match(r"#+ (\d+(?:\.\d+)*)\.? ", line):
            sections = [heading[1], *([heading[1].rpartition(".")[0]] if "." in heading[1] else [])]
            parts.add(heading[1])
        elif item := re.match(r"(\d+)\. ", line):
            parts |= {f"{section}, {item[1]}" for section in sections}
        elif identifier := re.match(r"\*\*(S\d+) |\| (B\d+) \|", line):
            parts.add(identifier[1] or identifier[2])
    return parts


def cited(text: str) -> Iterator[tuple[str, str]]:
    """Page and part of each citation in `text`; both ends of a range."""
    for citation in CITATION.finditer(" ".join(text.split())):
        section = "1" if citation["parts"].startswith("rule") else None  # the rules are the items of section 1
        for sign, part in re.findall(r"(§|sections? )?([SB]?\d+(?:\.\d+)*)", citation["parts"]):
            if sign or (section is None and part[0].isdigit()):
                section = part
                yield citation["page"], part
            else:
                yield citation["page"], part if part[0] in "SB" else f"{section}, {part}"


def missing(text):
    """The citations of `text` that lead nowhere."""
    return [(page, part) for page, part in cited(text) if part not in (parts_of(page) or ())]


def test_everything_that_is_cited_exists():
    texts = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in CITING}

    assert sum(len([*cited(text)]) for text in texts.values()) > 100
    assert [(path, *lost) for path, text in texts.items() for lost in missing(text)] == []


def test_a_citation_of_what_does_not_exist_is_noticed():
    text = """protocol.md §9.9, protocol.md §4.2, 99 and security.md S1, S99; security.md rules 3 and 11. And
    protocol.md §2.2 (unlike nowhere.md §1), performance.md section 77; spec("protocol.md", "3.99")"""

    assert missing(text) == [
        ("protocol.md", "9.9"), ("protocol.md", "4.2, 99"), ("security.md", "S99"), ("security.md", "1, 11"),
        ("nowhere.md", "1"), ("performance.md", "77"), ("protocol.md", "3.99"),
    ]  # fmt: skip
