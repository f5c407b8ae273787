"""Links, paths and names in the documentation exist, and so does every section that is cited in code, tests and docs.

A citation is a page and what follows it: `protocol.md §2.2`, `protocol.md §4.2, 13` (item 13 of that section),
`performance.md section 3`, `security.md S27`, `security.md rules 3 and 5`.
"""

import importlib
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.references import names_a_test

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


def names_of_settings(table, before=""):
    """The dotted names of the settings in a table, and of the tables in it."""
    for name, value in table.items():
        yield before + name
        if isinstance(value, dict):
            yield from names_of_settings(value, f"{before}{name}.")


SETTINGS = set(names_of_settings(tomllib.loads((ROOT / "config/default.toml").read_text("utf-8"))))
SCOPES = set(tomllib.loads((ROOT / "config/scopes.toml").read_text("utf-8"))["scope"])
PACKAGES = {path.name for path in (ROOT / "idp").iterdir() if (path / "__init__.py").exists()}


def resolves(dotted):
    """Whether `onboarding.verify` or `oidc.authorization_server.build` is a module below idp, or a name in one."""
    parts = ["idp", *dotted.split(".")]
    for length in range(len(parts), 1, -1):
        try:
            target = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(target, part):
                return False
            target = getattr(target, part)
        return True
    return False


def find_in_pages(pattern):
    """The matches of `pattern` in every page, each with its page."""
    return [(page, match) for page in PAGES for match in re.findall(pattern, page.read_text("utf-8"))]


def test_links_to_files_of_the_project_resolve():
    links = find_in_pages(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")

    assert len(links) > 50
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []


def test_paths_that_are_named_exist():
    paths = find_in_pages(r"`((?:idp|tests|config|docs|clients|bench)/[\w./-]+)`")

    assert len(paths) > 50
    assert [(page.name, path) for page, path in paths if not (ROOT / path).exists()] == []


def test_modules_functions_settings_and_scopes_that_are_named_exist():
    names = [(page, name) for page, name in find_in_pages(r"`([a-z_]+(?:\.\w+)+)`") if name.split(".")[0] in PACKAGES]

    assert len(names) > 100
    assert [
        (page.name, name)
        for page, name in names
        if not (name in SETTINGS | SCOPES or resolves(name) or resolves(f"oidc.{name}"))
    ] == []


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


def citations_in(text: str) -> Iterator[tuple[str, str]]:
    """The page and part of each citation in `text`; both ends of a range."""
    for citation in CITATION.finditer(" ".join(text.split())):
        section = "1" if citation["parts"].startswith("rule") else None  # the rules are the items of section 1
        for sign, part in re.findall(r"(§|sections? )?([SB]?\d+(?:\.\d+)*)", citation["parts"]):
            if sign or (section is None and part[0].isdigit()):
                section = part
                yield citation["page"], part
            else:
                yield citation["page"], part if part[0] in "SB" else f"{section}, {part}"


def missing(text):
    """The citations in `text` that do not resolve."""
    return [(page, part) for page, part in citations_in(text) if part not in (parts_of(page) or ())]


def test_everything_that_is_cited_exists():
    texts = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in CITING}

    assert sum(len([*citations_in(text)]) for text in texts.values()) > 100
    assert [(path, *lost) for path, text in texts.items() for lost in missing(text)] == []


def test_a_citation_of_a_missing_section_is_reported():
    text = """protocol.md §9.9, protocol.md §4.2, 99 and security.md S1, S99; security.md rules 3 and 11. And
    protocol.md §2.2 (unlike nowhere.md §1), performance.md section 77; spec("protocol.md", "3.99")"""

    assert missing(text) == [
        ("protocol.md", "9.9"), ("protocol.md", "4.2, 99"), ("security.md", "S99"), ("security.md", "1, 11"),
        ("nowhere.md", "1"), ("performance.md", "77"), ("protocol.md", "3.99"),
    ]  # fmt: skip


DECISIONS = ROOT / "docs/decisions"


def wrongly_numbered(files, index):
    """The files with a wrong number; `files` has the first line of each by name, `index` is the text of the index."""
    problems = [name for name, line in files.items() if not line.startswith(f"# {int(name[:4])}. ")]
    problems += [name for name in files if index.count(f"\n{int(name[:4])}. [") != 1 or f"]({name})" not in index]
    numbers = [int(name[:4]) for name in files]
    problems += [name for name in files if numbers.count(int(name[:4])) > 1]
    return sorted({*problems, *(name for name in files if int(name[:4]) - 1 not in [0, *numbers])})


def test_each_decision_has_a_number_of_its_own_in_its_name_its_title_and_the_index():
    files = {path.name: path.read_text("utf-8").partition("\n")[0] for path in DECISIONS.glob("0*.md")}
    index = (DECISIONS / "README.md").read_text("utf-8")

    assert len(files) > 50
    assert wrongly_numbered(files, index) == []


def test_a_decision_whose_number_is_taken_or_left_out_is_reported():
    index = "\n1. [One](0001-one.md)\n2. [Two](0002-two.md)\n2. [Three](0002-three.md)\n5. [Five](0005-five.md)\n"
    files = {
        "0001-one.md": "# 1. One",
        "0002-two.md": "# 2. Two",
        "0002-three.md": "# 3. Three",
        "0005-five.md": "# 5. Five",
    }

    assert wrongly_numbered(files, index) == ["0002-three.md", "0002-two.md", "0005-five.md"]


SECURITY = ROOT / "docs/design/security.md"
TEST = re.compile(r"`(tests/[\w./]+(?:::\w+)*)`")


def statements(page: str) -> Iterator[tuple[str, str, list[str]]]:
    """What security.md says must hold, with its text and tests: S1 and on, rows of section 4, items of section 5."""
    sections, asvs, accounts = (
        page.partition(begin)[2].partition("\n## ")[0]
        for begin in ("## 2. Known classes", "## 4. OWASP ASVS", "## 5. Accounts")
    )
    for name, title, text in re.findall(r"(?ms)^\*\*(S\d+)\s*(.*?)\*\*(.*?)(?=^\*\*|\Z)", sections):
        yield name, text, TEST.findall(text) or [f"tests/security/test_{title}.py"]
    _heading, _line, *rows = (line for line in asvs.splitlines() if line.startswith("|"))
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        yield cells[0], row, TEST.findall(cells[-1])
    for text in re.findall(r"(?ms)^- (.*?)(?=^- |\n\n|\Z)", accounts):
        yield re.split(r"\*\*|\.", text.removeprefix("**"), maxsplit=1)[0], text, TEST.findall(text)


def statements_without_test(page: str) -> list[str]:
    """Statements that name no existing test, and are not marked as not applicable."""
    return [
        f"{name}: {', '.join(tests) or 'no test'}"
        for name, text, tests in statements(page)
        if not (tests and all(map(names_a_test, tests))) and "does not apply" not in text
    ]


def test_everything_that_must_hold_for_accounts_names_a_test_that_exists():
    page = SECURITY.read_text("utf-8")

    assert len([*statements(page)]) > 110
    assert statements_without_test(page) == []


def test_a_statement_without_a_test_is_reported():
    page = """
## 2. Known classes

**S1 nothing_of_that_name** CVE → refused.

**S2 side_doors** → refused.

**S3 of several words** → refused.

## 4. OWASP ASVS 5.0

| rows | how it is met | test |
|---|---|---|
| 1.1 | well | `tests/test_docs.py::test_that_is_gone` |
| 1.2 | well | `tests/test_docs.py::test_a_statement_without_a_test_is_reported` |
| 1.3 | does not apply: no SAML | none |
| 1.4 | well | none |
|1.5|well|none|

## 5. Accounts

- **Locks** (`signin.locks`). They end. Test: `tests/signin/test_guesses.py`.
- **Keys**. They open. Their copies: **Not built yet.**
- Doors. They shut.
"""
    assert [line.partition(":")[0] for line in statements_without_test(page)] == [
        "S1",
        "S3",
        "1.1",
        "1.4",
        "1.5",
        "Keys",
        "Doors",
    ]
