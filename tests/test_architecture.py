"""Rules of the source that a reader would otherwise have to check by hand; import-linter checks the layers."""

import ast
import graphlib
import importlib
import re
import shutil
import subprocess
import sys
import tokenize
from functools import cache
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "idp").rglob("*.py"))
MODULES = [path for path in SOURCES if "versions" not in path.parts]
CLIENTS = sorted((ROOT / "clients").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
TEMPLATES = sorted((ROOT / "idp" / "templates").rglob("*.*"))


def name(path):
    return str(path.relative_to(ROOT))


@cache
def parsed(path):
    return ast.parse(path.read_text("utf-8"))


@cache
def nodes(path):
    """All nodes of a module: walking takes most of the time of these tests, so it is done once."""
    return tuple(ast.walk(parsed(path)))


def imports(path):
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@cache
def calls(path):
    """Every call in a module as (dotted name, node)."""
    return [(ast.unparse(node.func), node) for node in nodes(path) if isinstance(node, ast.Call)]


def modules(*exceptions):
    """Every module but migrations and these exceptions."""
    assert {name(path) for path in MODULES} >= set(exceptions)
    return [path for path in MODULES if name(path) not in exceptions]


def test_modules_are_short():
    assert [name(path) for path in modules() if len(path.read_text("utf-8").splitlines()) > 400] == []


def test_functions_are_short():
    functions = [(path, node) for path in modules() for node in nodes(path) if isinstance(node, ast.FunctionDef)]

    assert [
        f"{name(path)}: {node.name}" for path, node in functions if (node.end_lineno or 0) - node.lineno >= 60
    ] == []


def test_every_module_has_a_docstring():
    assert [name(path) for path in modules() if parsed(path).body and not ast.get_docstring(parsed(path))] == []


REMOVED_NAMES = {
    "a_half_sent_request", "a_partner_served", "a_window", "able", "AClient", "ACTS", "address_of", "_address_or_empty",
    "ADDRESS_PARAMETERS", "adds_a_passkey", "_admitted", "AFTERWARDS", "again", "ALIVE", "ALONE", "_alone",
    "AlreadyHere", "ALSO_CALLED", "an_answer_of", "an_xporter_served", "anew", "_ANOTHER", "another_than",
    "answer_client", "answer_with_cookie", "answered_meanwhile", "anyone_able", "are_words", "Arrived", "as_a_page",
    "AS_IN_PRODUCTION", "as_made", "AS_OF", "as_text", "as_they_are", "ASIDE", "aside", "asked_by_a_partner",
    "asks_for_more", "ASYNCHRONOUS", "at_last", "at_microsoft", "at_the_page", "AWindow", "BadCatalogue", "BadJwt",
    "BadLogout", "BadProof", "BadSettings", "BadToken", "BadValue", "BEAT", "because", "BEGAN", "BEGINNING",
    "break_down", "briskly", "but", "by_its_key", "by_of", "call_for_ourselves", "came", "came_at", "CannotUnseal",
    "chance", "_CODED", "COMMON_ENDINGS", "complain", "complained", "could_be", "_counted_as", "decides_without_token",
    "Declined", "desk", "Detour", "detours", "DIFFERENT", "differs", "disown", "disown_here", "door", "DRAMA",
    "DRESSED", "dressed", "DRIPPED", "each", "each_id", "ENCODED_FOR_NOTHING", "ENDS", "ENOUGH", "event_bodies",
    "EVERYONE", "_EVERYONE", "_EVERYWHERE", "explained", "FAIR", "FAREWELL", "_faults", "FEW_LEFT", "few_names",
    "FEWEST_BYTES", "file_fault", "filled_in", "finish_and_halt", "FOR_ANYBODY", "_for_programs", "FOREVER", "FORGET",
    "forget_keys", "FORGOTTEN", "ForgottenExtract", "form_address", "form_of", "FRESH_SECONDS", "_GAPS", "give_back",
    "_give_seed", "GIVEN", "go_on", "goes_through", "GONE", "GOODBYE", "got", "GRACE", "_GRANTED", "Ground", "ground",
    "GUARDED", "HALF", "HALF_WAY", "halt_before_commit", "halting", "hammer", "heard_longest_ago", "HELD_BACK",
    "_HELD_BACK", "HERE", "hold_the_clock", "hold_the_second", "_holder", "HOLDS", "HOUSE", "HUNG_UP", "in_a_line",
    "IN_ORDER", "_IN_PHRASES", "_in_turn", "INSIDE", "_insist", "_inspected", "_instead", "Interrupted",
    "InvalidParameter", "inwards", "_is_being_told", "is_believed", "is_bound_elsewhere", "is_dead", "is_for_it",
    "is_found_as", "is_held_to", "_is_here", "_is_here_already", "is_known_to", "is_no_request", "is_nobody",
    "is_nothing", "is_one_of", "is_ready_to_ask_again", "_is_server", "_is_somebody_else", "is_sound", "_is_there",
    "is_told", "is_troubled", "it_stands_as_we_think", "its", "its_browser", "its_client", "its_key", "its_owner",
    "its_server", "keep_here", "_keep_on", "keeps_cookies", "KEPT", "Kept", "kept_requests", "KeptRequests",
    "KEY_STAYS", "KNOWN", "_KNOWN", "known_browser", "known_here", "knows_browser", "knows_something", "last_here",
    "LAST_RESORT", "LASTING", "LATE", "LATELY", "Later", "lawful", "LAZY", "LEAD", "LEADING", "LEADS",
    "leads_to_the_partner", "learns", "leave_out_addresses", "LEAVES", "_leaves_out", "LEFT_AT_LEAST", "lend", "let_go",
    "listening", "living", "LOGOUT_FAULTS", "lone", "_longer", "LONGEST", "LONGEST_ID", "LONGEST_NAME",
    "LONGEST_REASON", "LONGEST_WAIT", "look_again", "look_at_the_proof", "_look_for_all", "looked_for_typed", "LOOKING",
    "looks_right", "LooksRight", "LOST", "LOST_AFTER", "_LOWER", "MACHINES", "MADE", "_made_outside", "mail_received",
    "MANY", "MANY_LOCKS", "ManyNames", "MAX_ADDRESS_LENGTH", "MAX_ADDRESSES_LENGTH", "MAX_AN_HOUR", "MAX_BY_AN_OWNER",
    "MAX_FOR_A_PERSON", "MAX_LOOKED_AT", "MAX_OF_A_CLIENT", "MAX_OF_A_NETWORK", "MAX_OF_CLIENT", "MAX_OF_PARTNER",
    "may_have", "MEANINGS", "_meant", "meant", "meant_instead", "MEASURED", "meddle", "meddler", "_mended", "mine",
    "MISLEADING", "misnumbered", "MISREAD", "missing_addresses", "MOST", "MOST_BYTES", "MOST_RECORDS", "MOST_TOLD",
    "MOST_WORDS", "MOVED", "_must_be", "_name_of_who_may_act", "naming_nothing", "narrow_the_client", "NASTY", "NEEDED",
    "NO_HALF", "NO_WISHES", "NOBODY", "_nobody", "NonceNeeded", "NOT_TAKEN", "_not_too_often", "NOT_WAITING",
    "NOTABLE_SKEW_SECONDS", "NotAllowed", "note_use", "note_version", "_Noted", "NotHere", "NOTHING", "NOTHING_TO_TELL",
    "_nothing_waits", "nothing_was_agreed", "noticed", "NoToken", "NotYet", "NOWHERE", "of_a_registration",
    "of_account", "of_address", "of_agent", "_of_bearable_size", "of_browser", "of_busy", "of_client", "_of_collection",
    "of_collection", "OF_CONSOLE", "OF_DECISIONS", "of_dpop", "of_estab", "of_estabs", "of_file", "of_http_error",
    "_of_key", "of_key", "of_kind", "of_known", "_of_link", "of_link", "of_logout", "of_member", "of_none", "of_other",
    "_OF_OTHER_ROWS", "of_owner", "of_packages", "of_partner", "of_path", "of_people", "of_person", "of_profile",
    "of_refusal", "OF_SCHOOL", "_of_school", "of_school", "of_status", "of_the_school", "of_today", "of_token",
    "of_typed", "of_unknown", "OFFER", "OfNoUse", "OLDEST", "one_at_a_time", "one_by_one", "one_more", "_onwards",
    "open_ones", "_opened", "OURS", "outwards", "OVER", "overtaken", "page_without", "pages_asked",
    "parameters_are_valid", "_parted", "_PARTS_OF_ADDRESS", "_password_faults", "PASSWORD_TIME", "PATIENCE",
    "_patiently", "PAUSED", "place_in", "PLACES", "plainly", "POINTING", "_portless", "post_as_ourselves",
    "production_faults", "PROVEN", "proves_it_elsewhere", "pushed_where_required", "question_address", "QUICK",
    "_refuse_a_port_in_use", "refused_or_answered", "refuses_wrong_proofs", "remembered", "_REMOVED", "replaceable",
    "request_address", "_request_origin", "request_uri_is_ours", "require_safe", "response_type_is_code", "run_at_once",
    "RUN_ON", "said_of", "SAID_TWICE", "_SALT", "sandbox_addresses", "say_what_was_left_out", "says",
    "says_at_userinfo", "_says_instead", "scope_fault", "_scope_fault", "scrubbed", "sets_out", "setting_faults",
    "SETTINGS_THAT_COUNT", "settle_secret", "SHARE_WHILE_WIDESPREAD", "SHARED", "SHIPPED", "SHORT", "SHORTEST",
    "SHORTEST_RUN", "_show_faults", "Shown", "SHOWN_LETTERS", "shows_a_secret", "signed_where_required", "_SIGNS",
    "SILENT", "silently", "small_enough_to_store", "SOMEBODY", "somebody", "SOUND", "sound", "spoiled", "SPOILT",
    "spoilt", "StandingIn", "StartAgain", "STARTS", "STAYS", "still_due", "_still_wanted", "STOPPED", "STREAMED",
    "STRUCK_OUT", "struck_out", "SuspiciouslyFew", "_take_leave", "TAKEN", "takes_back", "takes_down", "Tampered",
    "tell_due", "_tell_log", "ten_each", "test_at_once", "test_forms_as_something_else", "test_hanging_up",
    "test_leaving", "test_lock_that_tells", "test_main_job", "test_whole", "test_wrong_turns", "TestWhatTheWorkerTrims",
    "the_dead_stay_dead", "the_one", "there_are", "tidying", "tie", "TIME_TO_SIGN_IN", "times_away", "TO_DO",
    "_TO_REPEAT", "to_text", "_token_of_our_own", "TOLD", "_told", "told", "TOPS", "TOUCH", "TRIED", "_tried", "TRIES",
    "try_it_address", "turns_back", "TURNSTILE", "Turnstile", "TYPED", "_TYPED", "TYPED_AGAIN", "typed_again",
    "UnacceptableAnswer", "UNANSWERED", "Unavailable", "under_way", "_understood", "undisguised", "UNFETCHED",
    "_unforeseen", "_unless_told", "_unless_too_often", "_UNLISTED", "Unreachable", "_UNSUITABLE", "UNTIL", "_UNTIL",
    "UNTOLD", "_UNTOLD", "untold", "Untrusted", "urn_of", "UselessExtract", "USUAL", "USUAL_RECORDS", "_VISIBLE",
    "void", "WAIT", "_waits", "WANTED", "was_and_is", "way_on", "WayOn", "WHOLE", "WHY", "why", "_why_not_again",
    "why_not_own", "WHYS", "_widespread", "wish", "WISHES", "with_an_agreement", "_WITHHELD", "_WITHIN",
    "without_factor", "without_token", "work", "Work", "working", "write_and_think_better_of_it", "WRONG",
    "accept_proof", "areas_ticked", "authorization_address", "carries_on_here", "count_try", "EmailProof",
    "erase_rejected", "ESTAB_REDUCED", "go_on_here", "goes_to_set_up", "JoinDecision", "NewAddress", "NewNumber",
    "NewPerson", "old_address_views", "OldAddress", "proved_in", "proves_the_address", "ResetName", "send_proof",
    "SomebodyElse", "WhichSchool", "YourDetails", "hangs_up_after", "Letter", "OWN_TOKEN", "Seen", "ABOUT_THE_ENDPOINT",
    "asking", "held_back", "KeptForm", "may_collect", "PROOF_ADDS", "put_off", "_reads_every", "spoil",
    "TooLateToCollect", "TOPS_SCRIPT",
    "a_partner_asks", "a_proof", "a_seen", "activates", "allows", "announces", "another_address", "arrives",
    "ask_strength", "asks", "assembly_asks", "assert_told_to_wait", "authorises_for", "authorizes", "becomes", "breaks",
    "by_notify", "by_twilio", "changes_email", "changes_mobile", "changes_state", "ChangesPassword", "check_error_page",
    "chooses", "chooses_directly", "chooses_school", "compile_beside", "compiled_tomorrow", "confirms",
    "confirms_and_is_signed_out", "create_app_with", "decides", "decides_again", "delivers", "demand_nonces", "end_it",
    "ends_first", "ends_it", "enters_code", "explanation_of", "fails_for", "fails_for_the_first", "fails_once",
    "finds_school", "first_of", "gives_details", "goes_to", "goes_to_page", "hangs", "has_an_expired_form",
    "lasts_until", "leads_to_set_up", "makes_key", "many_new_computers", "meanwhile", "Moved", "notes_credentials",
    "NotReporting", "on_a_port", "opens_mail", "opens_the_mail", "press_and_follow", "pressed_id", "proves_itself",
    "reads_status", "recognises", "recovers", "redeems", "redirects_with_error", "refreshes_token", "refuse_bad",
    "replay_nothing", "returns_with", "round_of_a_worker", "sees_code", "sees_errors", "sends_again", "sends_passkey",
    "sets_up", "shows_error_page", "signs_in_at", "signs_in_with", "signs_in_wrongly", "signs_out", "signs_out_here",
    "signs_up", "slowly", "something_authorised", "something_declined", "something_paused", "something_resumed",
    "something_stopped", "something_that_ended", "something_that_ends", "something_to_review", "starts_sign_in",
    "the_agents_client", "the_school_authorises", "ticks_all", "types_details", "unb64", "verifies_the_address",
    "verifies_the_address_elsewhere", "waits_for_the_disk", "world_token",
}  # fmt: skip
"""Names of functions, classes, modules and variables that were replaced, because a new reader could not tell their
meaning.
"""


def names_in(path):
    """Every name that a module defines or assigns, and its own."""
    yield path.stem
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def test_no_removed_name_comes_back():
    found = {
        f"{name(path)}: {named}"
        for path in [*modules(), *CLIENTS]
        for named in names_in(path)
        if named in REMOVED_NAMES
    }
    # Tests may use "again" and "mine".
    elsewhere = REMOVED_NAMES - {"again", "mine"}
    found |= {f"{name(path)}: {named}" for path in TESTS for named in names_in(path) if named in elsewhere}

    assert sorted(found) == []


def test_prose_does_not_say_whoever_or_whosoever():
    """In code, pages and documents: "a person who", "a client that", "anyone with"."""
    dialect = re.compile(r"\bwho(?:so)?ever\b", re.IGNORECASE)
    kinds = (".py", ".md", ".html", ".txt", ".jinja", ".toml", ".js")
    folders = ("idp", "clients", "bench", "tests", "docs", "config")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in kinds]
    assert len(paths) > 1000

    assert [name(path) for path in paths if dialect.search(path.read_text("utf-8"))] == []


def test_docstrings_and_comments_of_the_product_do_not_say_nobody():
    """A sentence says who or what does not, or "no one"; texts for people at schools may say "Nobody yet"."""
    found = []
    for path in [*modules(), *CLIENTS]:
        with path.open("rb") as source:
            comments = [token.string for token in tokenize.tokenize(source.readline) if token.type == tokenize.COMMENT]
        docstrings = [
            node.value.value
            for node in nodes(path)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        ]
        found += [name(path) for text in comments + docstrings if re.search(r"\bnobody\b", text, re.IGNORECASE)]

    assert found == []


def modules_of_ours(path):
    """The modules of `idp` that a test file imports from their package, by the names it has for them."""
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "idp":
            for name in node.names:
                if (ROOT / node.module.replace(".", "/") / f"{name.name}.py").exists():
                    yield name.asname or name.name, importlib.import_module(f"{node.module}.{name.name}")


def used_names(path):
    """What a test file uses or replaces (`monkeypatch.setattr`) by a dotted name, and the line."""
    for node in nodes(path):
        match node:
            case ast.Call(func=ast.Attribute(attr="setattr"), args=[owner, ast.Constant(value=str(attribute)), *_]):
                yield f"{ast.unparse(owner)}.{attribute}", node.lineno
            case ast.Attribute(value=ast.Name()):
                yield ast.unparse(node), node.lineno


def is_there(value, attributes):
    for attribute in attributes:
        if not hasattr(value, attribute):
            return False
        value = getattr(value, attribute)
    return True


def test_tests_use_and_replace_only_what_modules_have():
    """mypy does not see what `monkeypatch.setattr` replaces, nor attributes of modules in untyped tests."""
    stale = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        ours = dict(modules_of_ours(path))
        for used, line in used_names(path):
            first, *attributes = used.split(".")
            if first in ours and "(" not in used and not is_there(ours[first], attributes):
                stale.append(f"{name(path)}:{line}: {used}")

    assert stale == []


def test_every_package_has_an_init_module():
    packages = {path.parent for path in modules() if "foundation/web" not in name(path)}

    assert [name(package) for package in packages if not (package / "__init__.py").exists()] == []


def test_clients_know_us_only_by_protocol():
    assert CLIENTS
    assert [name(path) for path in CLIENTS for module in imports(path) if module.split(".")[0] == "idp"] == []


def test_outgoing_requests_are_made_in_one_module():
    libraries = {"requests", "urllib3", "httpx", "http.client", "urllib.request", "aiohttp"}
    # The demonstration asks this machine alone whether its programs are up.
    elsewhere = modules("idp/foundation/web/fetch.py", "idp/demo/processes.py")

    assert [f"{name(path)}: {module}" for path in elsewhere for module in libraries & set(imports(path))] == []


def test_only_the_transaction_commits():
    elsewhere = modules("idp/foundation/web/transactions.py", "idp/migrations/__init__.py")

    assert [name(path) for path in elsewhere for call, _ in calls(path) if call.endswith(".commit")] == []


def test_savepoints_are_made_where_statements_without_the_session_are_undone_too():
    elsewhere = modules("idp/foundation/database.py", "idp/jobs/cleaning.py")  # `savepoint` itself, and no session

    assert [name(path) for path in elsewhere for call, _ in calls(path) if call.endswith(".begin_nested")] == []


def test_app_extensions_is_read_in_one_module():
    """`app.extensions` is read in one module: others declare a `PerApplication` value, or call a port."""
    elsewhere = modules("idp/foundation/runtime.py")

    assert [
        f"{name(path)}: {node.lineno}"
        for path in elsewhere
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and node.attr == "extensions"
    ] == []


UNTYPED = {"authlib", "flask_login", "flask_wtf", "wtforms"}


def test_what_crosses_packages_is_derived_from_no_class_without_types():
    """To mypy such a class has every attribute, so a misspelt one would pass."""
    from idp.oidc.clients.oauth_client import OAuthClient
    from idp.oidc.incoming import CheckedRequest, Request
    from idp.signin.session import SignedIn

    for kind in (OAuthClient, CheckedRequest, Request, SignedIn):
        assert [base.__module__ for base in kind.__mro__ if base.__module__.split(".")[0] in UNTYPED] == []


def reads_flask_g(node):
    """Whether a node brings in Flask's `g`, by whichever of its names."""
    if isinstance(node, ast.ImportFrom):
        return node.module in {"flask", "flask.globals"} and any(alias.name in {"g", "*"} for alias in node.names)
    return isinstance(node, ast.Attribute) and ast.unparse(node) in {"flask.g", "flask.globals.g", "globals.g"}


def test_flask_g_is_read_in_one_module():
    """Flask's `g` is read in one module: others have a field of `RequestState`, or a part of their own."""
    elsewhere = modules("idp/foundation/request_state.py")

    assert [
        f"{name(path)}: {ast.unparse(node)}" for path in elsewhere for node in nodes(path) if reads_flask_g(node)
    ] == []


WRITES = {"insert", "update", "delete", "insert_if_absent", "claim"}
"""Functions whose first argument is the table that they write."""


def foreign_models(path):
    """The models of other packages that a module imports."""
    own = path.relative_to(ROOT / "idp").parts[0]
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and re.fullmatch(rf"idp\.(?!{own}\.)\w+\.models", node.module or ""):
            yield from (alias.name for alias in node.names if alias.name[0].isupper() and not alias.name.isupper())


def assignments(path):
    """Every assignment as (target, value), and those of `a, b = c, d` apart."""
    for node in nodes(path):
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                yield from zip(target.elts, value.elts, strict=True)
            else:
                yield target, value


def foreign_tables(path):
    """These models, and the names under which the module has their tables."""
    models = set(foreign_models(path))
    tables = {
        ast.unparse(target)
        for target, value in assignments(path)
        if any(f"{model}.__table__" in ast.unparse(value) for model in models)
    }
    return models | tables


def foreign_writes(path):
    """Statements that write another package's table, its models made, and attributes of its rows set."""
    foreign = foreign_tables(path)
    for call, node in calls(path):
        first = ast.unparse(node.args[0]).split(".")[0] if node.args else ""
        if call in foreign or (call.rsplit(".", 1)[-1] in WRITES and first in foreign):
            yield node
    for function in nodes(path):
        if isinstance(function, ast.FunctionDef):
            arguments = (*function.args.args, *function.args.kwonlyargs)
            rows = {
                argument.arg
                for argument in arguments
                if argument.annotation and ast.unparse(argument.annotation) in foreign
            }
            set_here = (node for node in ast.walk(function) if isinstance(node, ast.Attribute))
            yield from (
                node for node in set_here if isinstance(node.ctx, ast.Store) and ast.unparse(node.value) in rows
            )


def test_a_table_is_written_by_the_package_that_owns_it():
    """As far as a module shows it: a row that came from a function is not seen, unless it is a parameter."""
    assert [f"{name(path)}: {ast.unparse(node)}" for path in modules() for node in foreign_writes(path)] == []


def test_randomness_comes_from_the_system_and_digests_are_strong():
    weak = {"hashlib.md5", "hashlib.sha1", "hashlib.new"}

    assert [name(path) for path in modules() if "random" in set(imports(path))] == []
    # A list of breached passwords is one of SHA-1 digests; nothing of ours is stored by it.
    strong = modules("idp/estabs/breached.py")
    assert [f"{name(path)}: {call}" for path in strong for call, _ in calls(path) if call in weak] == []


def compares_secrets(node):
    secret = re.compile(r"(?<![a-z])(secret|digest|token|password|signature|mac)(?![a-z])", re.IGNORECASE)
    if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
        return False
    left, right = ast.unparse(node.left), ast.unparse(node.comparators[0])
    column = re.search(r"\.c\.|^[A-Z]\w+\.", left)  # SQL, where an index finds the digest
    constant = isinstance(node.comparators[0], ast.Constant)
    return not column and not constant and secret.search(left) and secret.search(right)


def test_secrets_are_compared_in_constant_time():
    secretive = [path for path in modules() if "schools" not in path.parts]  # there they are digests of public rows

    assert [
        f"{name(path)}: {ast.unparse(node)}" for path in secretive for node in nodes(path) if compares_secrets(node)
    ] == []


def is_glued(node):
    return isinstance(node, ast.BinOp) or (
        isinstance(node, ast.JoinedStr) and any(isinstance(part, ast.FormattedValue) for part in node.values)
    )


def test_sql_is_not_concatenated():
    # In bulk the names of our own tables and columns are, for 52,000 rows at a time; its values are bound.
    assert [
        f"{name(path)}: {ast.unparse(node)}"
        for path in modules("idp/schools/bulk.py")
        for call, node in calls(path)
        if call.rsplit(".", 1)[-1] in {"text", "execute", "exec_driver_sql"} and node.args and is_glued(node.args[0])
    ] == []


LISTED_BY_BATCH = {
    *("idp/jobs/cleaning.py", "idp/oidc/clients/bounds.py", "idp/onboarding/rejected.py", "idp/onboarding/signup.py"),
    *("idp/outbox/deliver.py", "idp/outbox/doctor.py"),
}
"""Modules that take some rows, by time: which of two of one moment comes first makes no difference there."""


def is_sorted_by_time_alone(call, node):
    return call.endswith("order_by") and re.search(r"_at(\.desc\(\))?$", ast.unparse(node.args[-1]))


def test_rows_of_one_moment_are_listed_in_one_order():
    """PostgreSQL gives rows with the same time in any order: a list needs a second column."""
    tests = [path for path in sorted((ROOT / "tests").rglob("*.py")) if path != Path(__file__)]

    assert [
        f"{name(path)}: {ast.unparse(node.args[-1])}"
        for path in [*modules(*LISTED_BY_BATCH), *tests]
        for call, node in calls(path)
        if is_sorted_by_time_alone(call, node)
    ] == []


ROLE_WORD = re.compile(r"\b(role|OWNER|ADMIN|VIEWER)\b|'(owner|admin|viewer)'")


def decides_by_role(node):
    """Whether a role is compared, or named as text, rather than the table of rights asked."""
    if isinstance(node, ast.Compare):
        membership = isinstance(node.ops[0], ast.In | ast.NotIn)
        return bool(ROLE_WORD.search(ast.unparse(node.left))) and not (membership and "ROLES" in ast.unparse(node))
    if isinstance(node, ast.keyword):
        return node.arg == "role" and isinstance(node.value, ast.Constant)
    return False


def test_roles_are_compared_in_one_module_only():
    """`estabs.permissions` alone compares roles: others ask it whether a member may do something."""
    elsewhere = modules("idp/estabs/permissions.py")

    assert [
        f"{name(path)}: {ast.unparse(node)}" for path in elsewhere for node in nodes(path) if decides_by_role(node)
    ] == []
    compared = re.compile(r"\brole\b *(==|!=|in\b|not in\b)|\[[^\]]*\brole\]")
    code = {path: "".join(re.findall(r"{[{%].*?[}%]}", path.read_text("utf-8"), re.DOTALL)) for path in TEMPLATES}
    assert [name(path) for path, text in code.items() if compared.search(text)] == []


def test_every_assertion_can_fail():
    """`assert a if b else c` reads as if it compared, and fails only where `a` or `c` is false."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in nodes(path)
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.IfExp | ast.Tuple | ast.Constant)
    ]
    assert found == []


def test_no_token_is_forged_by_fixed_letters_at_its_end():
    """They may be those that were there: `tests.tampering.tampered` surely changes it."""
    replaced = re.compile(r"""\[:-\d+\] *(?:\+ *f?["']|\}[A-Za-z0-9])""")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for match in replaced.finditer(path.read_text("utf-8"))
    ]
    assert found == []


def test_templates_escape_everything():
    texts = {name(path): path.read_text("utf-8").replace(" ", "") for path in TEMPLATES}

    assert [path for path, text in texts.items() if "|safe" in text or "autoescapefalse" in text] == []


def test_templates_of_pages_carry_no_script_or_style():
    inline = re.compile(r"\son\w+=|\sstyle=|javascript:|<script(?![^>]*(?:src|nonce)=)", re.IGNORECASE)
    pages = [path for path in TEMPLATES if "mail" not in path.parts]

    assert [name(path) for path in pages if inline.search(path.read_text("utf-8"))] == []


def test_pages_for_schools_avoid_jargon():
    jargon = re.compile(r"\b(OAuth|scopes?|clients?|tokens?|consent)\b", re.IGNORECASE)
    for folder in ("onboarding", "signin", "schools", "manage"):
        for path in (ROOT / "idp" / "templates" / folder).rglob("*.html"):
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


def test_no_modules_import_each_other_if_only_for_a_type():
    graph = grimp.build_graph("idp", cache_dir=None)
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(imported).prepare()  # raises CycleError, which names them


def test_packages_import_only_lower_layers():
    result = lint_imports(ROOT)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("forbidden", ["authlib", "flask"])
def test_libraries_are_imported_only_where_allowed(tmp_path, forbidden):
    """Add its import to every module that has none: each is reported, except where it is allowed."""
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

    result = lint_imports(tmp_path)
    assert result.returncode == 1
    assert set(re.findall(rf"(idp[\w.]*) -> {forbidden} ", result.stdout)) == planted - may


def test_the_readme_maps_the_tree():
    readme = (ROOT / "README.md").read_text("utf-8")
    packages = [path.name for path in (ROOT / "idp").iterdir() if (path / "__init__.py").exists()]

    assert [package for package in packages if f"{package}/" not in readme] == []


def test_no_test_uses_capture_logs_of_structlog():
    """structlog's `capture_logs` misses loggers that were first used under an earlier configuration; use `caplog`."""
    users = [path.name for path in (ROOT / "tests").rglob("*.py") if "structlog.testing" in imports(path)]

    assert users == []
