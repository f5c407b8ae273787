"""Every parser, with any input: it returns a value or raises its own error, and a value that was written is parsed to
the same value.
"""

import base64
import contextlib
import csv
import io
import json
import tomllib
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, strategies as st
from wtforms.validators import ValidationError

from idp.foundation import scopes
from idp.foundation.web import contact_fields, security
from idp.keys import jwts
from idp.oidc import incoming
from idp.oidc.clients import authentication
from idp.oidc.clients.oauth_client import differing_parts
from idp.partners import manifest, uris
from idp.partners.metadata import InvalidMetadata, to_columns
from idp.schools import files, gias, query_parser, search
from tests.fuzz.hostile import CANARY, any_json, odd_text
from tests.fuzz.profiles import fuzz_settings
from tests.oidc.registering import METADATA
from tests.partners.manifests import a_manifest
from tests.schools.conftest import SAMPLE

VALID_URI = "https://assembly.example/callback"
some_uri = st.one_of(
    odd_text,
    st.builds(
        lambda index, text: VALID_URI[:index] + text + VALID_URI[index:], st.integers(0, len(VALID_URI)), odd_text
    ),
    st.from_regex(r"\A(https?|uk\.example):/{0,3}[a-z0-9.@:\[\]%\\-]{0,20}(/[a-z.%2e;]{0,8}){0,3}\Z"),
)
postcodes = st.from_regex(r"\A[A-Za-z]{1,2}[0-9OI][0-9A-Z]? ?[0-9OI]?[A-Z]{0,2}\Z")
HEADING = ",".join(gias.LABELS)


@pytest.fixture(scope="module")
def in_transaction(module_transaction):
    """A transaction, for parsers that read settings or the database."""
    with module_transaction():
        yield


# Scopes


@fuzz_settings()
@given(st.lists(st.sampled_from(sorted(scopes.catalogue())) | odd_text).map(" ".join) | odd_text)
def test_scopes_are_those_of_the_catalogue_or_refused(text):
    try:
        parsed = scopes.parse(text)
    except scopes.UnknownScope:
        return
    assert parsed <= scopes.catalogue().keys()
    assert scopes.parse(scopes.format(parsed)) == parsed


# URIs


@fuzz_settings(2)
@given(some_uri, st.booleans(), st.booleans(), st.sampled_from(["oidc", "fapi2"]))
def test_a_redirect_uri_is_registered_unchanged_or_refused(text, public, local, profile):
    try:
        uri = uris.redirect(text, profile=profile, public=public, local=local)
    except ValueError:
        return
    assert uri == text
    assert text.isascii()
    assert not set(text) & set(' "<>\\^`{|}#*')
    assert not text.lower().startswith(("javascript:", "data:", "vbscript:"))


@fuzz_settings(2)
@given(some_uri, some_uri)
def test_the_difference_of_any_two_uris_can_be_described(first, second):
    assert differing_parts(first, second)


@fuzz_settings(2)
@given(odd_text | st.from_regex(r"\A[/\\\t\n a-z:.%@?#]{0,12}\Z"))
def test_a_local_path_never_leaves_our_host(text):
    path = security.local_path(text, "/home")
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))
    assert path.isprintable()


# What clients send


@fuzz_settings(2)
@given(st.lists(st.tuples(st.sampled_from(sorted(incoming.KNOWN_PARAMETERS)) | odd_text, odd_text), max_size=8))
def test_only_known_parameters_of_valid_values_are_read(pairs):
    parameters = incoming.parameters(pairs)
    assert set(parameters.values) <= {name for name, _ in pairs} & incoming.KNOWN_PARAMETERS
    if fault := parameters.fault():
        assert fault[0] in incoming.KNOWN_PARAMETERS
    else:
        assert all(len(value) <= 16_384 and min(value) >= " " for value in parameters.values.values())


@fuzz_settings(2)
@given(odd_text | st.binary(max_size=30).map(lambda raw: "Basic " + base64.b64encode(raw).decode()))
def test_a_basic_header_has_both_a_name_and_a_secret_or_neither(text):
    name, secret = authentication._basic(text)
    assert (name is None) == (secret is None)


@fuzz_settings(2)
@given(st.lists(odd_text | st.dictionaries(odd_text, any_json, max_size=3).map(json.dumps), max_size=4))
def test_a_jwt_is_read_or_refused(parts):
    text = ".".join(base64.urlsafe_b64encode(part.encode("utf-8", "surrogatepass")).decode() for part in parts)
    try:
        jwt = jwts.parse(text)
    except jwts.InvalidJwt:
        return
    assert isinstance(jwt.claims, dict)
    assert jwt.alg


# What clients and operators register


@fuzz_settings(2)
@given(
    st.dictionaries(
        st.sampled_from(sorted([*METADATA, "jwks", "scope", "logo_uri", "subject_type"])) | odd_text, any_json
    )
)
def test_metadata_is_parsed_in_one_way_or_refused(in_transaction, metadata):
    try:
        columns = to_columns({**METADATA, **metadata})
    except InvalidMetadata:
        return
    assert to_columns({**METADATA, **metadata}) == columns


@fuzz_settings()
@given(st.dictionaries(st.sampled_from([*a_manifest(), "mis", "jwks"]) | odd_text, any_json, max_size=3))
def test_a_manifest_names_its_partner_or_is_refused(in_transaction, overrides):
    with contextlib.suppress(InvalidMetadata):
        assert manifest.parse_manifest(a_manifest() | overrides).partner


@fuzz_settings()
@given(st.binary(max_size=80) | odd_text.map(lambda text: f'x = "{text}"'.encode("utf-8", "surrogatepass")))
def test_a_manifest_file_is_toml_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "manifest.toml"
    path.write_bytes(content)
    try:
        document = manifest.read_file(path)
    except InvalidMetadata:
        return
    assert document == tomllib.loads(content.decode())


# What people type


@fuzz_settings(2)
@given(
    odd_text
    | st.from_regex(r"\A[A-Za-z]{1,2}[0-9OI][0-9A-Z]? ?[0-9OI]?[A-Z]{0,2}\Z")
    | st.from_regex(r"\A[0-9/ -]{1,9}\Z")
)
def test_any_search_text_is_parsed(text):
    for interpretation in query_parser.parse(text):
        assert interpretation.values
        assert interpretation.description.isprintable()


@fuzz_settings(0.5)
@given(odd_text)
def test_any_search_text_gets_results_or_none(in_transaction, text):
    assert isinstance(search.find(text), search.SearchResult)


@fuzz_settings()
@given(odd_text | st.from_regex(r"\A\+?[0-9() -]{3,20}\Z"))
def test_a_mobile_number_is_one_that_can_be_dialled_or_refused(in_transaction, text):
    try:
        number = contact_fields.parse_mobile(text)
    except ValidationError:
        return
    assert number[0] == "+"
    assert number[1:].isdigit()
    assert number.isascii()
    assert contact_fields.parse_mobile(contact_fields.readable_phone_number(number)) == number


@fuzz_settings()
@given(odd_text | st.builds("{}@{}".format, odd_text, odd_text) | st.emails())
def test_an_email_address_is_one_line_or_refused(in_transaction, text):
    try:
        address = contact_fields.parse_email(text)
    except ValidationError:
        return
    assert address.isascii()
    assert address.isprintable()
    assert contact_fields.parse_email(address) == address


@fuzz_settings(2)
@given(odd_text)
def test_a_persons_name_is_one_printable_line_or_refused(text):
    name = contact_fields.one_line(text)
    try:
        contact_fields.person_name(None, SimpleNamespace(data=name))
    except ValidationError:
        return
    name.encode()
    assert "\n" not in name


# The register's files


cell = odd_text.map(lambda text: text.encode("utf-8", "replace").decode()) | st.sampled_from(
    ["1", "312", "100000", "01-09-2020", "31-02-2020", "AA1 1AA", "=1+1", "٣٤"]
)
rows = st.lists(st.dictionaries(st.sampled_from(gias.LABELS), cell, max_size=6), max_size=3)


@fuzz_settings(2)
@given(rows)
def test_lines_of_the_register_are_parsed_as_schools_or_refused(written_rows):
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, gias.LABELS, restval="1")
    writer.writeheader()
    writer.writerows(written_rows)
    try:
        parsed = [gias.school(line) for line in gias.lines(io.StringIO(text.getvalue(), newline=""))]
    except gias.FileRefused:
        return
    assert len(parsed) == len(written_rows)
    for row, oddities in parsed:
        assert row["register_id"].isdigit()
        assert all(value.isprintable() for value in row.values() if isinstance(value, str))
        assert all(str(oddity) for oddity in oddities)


damaged_file = st.builds(
    lambda content, index, inserted, lost: content[:index] + inserted + content[index + lost :],
    st.sampled_from([SAMPLE.read_bytes()[:3000], (HEADING + "\r\n").encode()]), st.integers(0, 3000),
    st.binary(max_size=12), st.integers(0, 40),
)  # fmt: skip


def _read_register(path: Path) -> None:
    try:
        with files.open_sources(path) as sources, sources.schools.text() as text:
            for line in gias.lines(text):
                gias.school(line)
    except gias.FileRefused:
        return


@fuzz_settings(2)
@given(damaged_file | st.binary(max_size=100))
def test_a_damaged_register_file_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "edubasealldata20260301.csv"
    path.write_bytes(content)
    _read_register(path)


def _a_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("edubasealldata20260301.csv"), SAMPLE.read_bytes()[:3000])
        archive.writestr(zipfile.ZipInfo("links_edubasealldata20260301.csv"), ",".join(gias.LINK_LABELS))
    return file.getvalue()


ZIP = _a_zip()


@fuzz_settings(2)
@given(st.integers(0, len(ZIP)), st.binary(max_size=6), st.integers(0, 8))
def test_a_damaged_zip_is_read_or_refused(tmp_path_factory, index, inserted, lost):
    path = tmp_path_factory.getbasetemp() / "extract.zip"
    path.write_bytes(ZIP[:index] + inserted + ZIP[index + lost :])
    _read_register(path)


# Cookies


@fuzz_settings()
@given(st.lists(st.tuples(st.sampled_from(["form", "session", "registration", "request"]), odd_text), max_size=3))
def test_pages_with_any_cookies_are_no_internal_error(module_transaction, session_app, settings, planted):
    text = "; ".join(f"{security.cookie_name(settings, name)}={value}" for name, value in planted)
    header = text.encode("utf-8", "replace").decode("latin-1").replace("\r", "").replace("\n", "")
    web = session_app.test_client()
    for path in ("/sign-in", "/register/reg_x", "/oauth/authorize?client_id=x", "/oauth/logout", "/device"):
        response = web.get(path, base_url=settings.server.issuer, headers={"Cookie": header})
        assert response.status_code < 500
        assert CANARY not in response.text
