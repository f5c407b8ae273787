"""Functions that insert rows with valid defaults; keyword arguments override columns. Call them in a transaction."""

from datetime import date, datetime
from itertools import count
from typing import Any

from sqlalchemy import select

from idp.estabs.models import Administrator, Estab, Membership
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import session
from idp.partners.models import Client, ClientSecret, Partner
from idp.schools.models import RegisterImport, School

_numbers = count(1)
PASSWORD = "correct horse battery staple oak hill"


def a_school(**overrides: Any) -> School:
    """An open school of the register, in Westminster."""
    number = next(_numbers)
    imported = session().scalar(select(RegisterImport).order_by(RegisterImport.id).limit(1))
    if imported is None:
        imported = RegisterImport(
            source="test", dated=date(2026, 3, 1), imported_at=clock.now(), rows=1,
            added=1, changed=0, closed=0, reopened=0, left=0,
        )  # fmt: skip
        session().add(imported)
        session().flush()
    values: dict[str, Any] = {
        "register": "gias", "register_id": f"{900000 + number}", "name": f"Oakhill School {number}",
        "la_code": "213", "la_name": "Westminster", "establishment_number": f"{5000 + number}",
        "dfe_number": f"213{5000 + number}", "former_dfe_number": None, "ukprn": None,
        "type_code": "1", "type_name": "Community school", "group_code": "4", "group_name": "LA maintained schools",
        "status_code": "1", "status_name": "Open", "phase_code": "2", "phase_name": "Primary",
        "low_age": 4, "high_age": 11, "opened_on": None, "closed_on": None,
        "street": "1 High Street", "locality": "", "address3": "", "town": "London", "county": "",
        "postcode": "SW1P 4AU", "postcode_key": "SW1P4AU", "website": "https://oakhill.example",
        "website_host": "oakhill.example", "telephone": "2079460123", "telephone_e164": "+442079460123",
        "trust_code": "", "trust_name": "", "head_teacher": "Ms A Head", "country": "England",
        "last_changed_on": None, "digest": b"", "first_seen_in": imported.id, "last_seen_in": imported.id,
        "left_register_on": None,
    }  # fmt: skip
    school = School(**(values | overrides))
    session().add(school)
    session().flush()
    return school


def an_estab(school: School | None = None, **overrides: Any) -> Estab:
    """A verified estab of `school`, or of a new one."""
    school = school or a_school()
    now = clock.now()
    values: dict[str, Any] = {
        "id": crypto.new_id("est"), "estab_id": school.dfe_number or f"E{next(_numbers):06}",
        "school_id": school.id, "state": "verified", "state_changed_at": now, "registered_at": now, "mis": "sims",
    }  # fmt: skip
    estab = Estab(**(values | overrides))
    session().add(estab)
    session().flush()
    session().refresh(estab)
    return estab


def an_administrator(estab: Estab | None = None, *, password: str = PASSWORD, **overrides: Any) -> Administrator:
    """The owner of `estab`, or of a new verified one, whose password is `PASSWORD`."""
    estab = estab or an_estab()
    number, now, role = next(_numbers), clock.now(), overrides.pop("role", "owner")
    email = overrides.pop("email", f"office{number}@oakhill.example")
    values: dict[str, Any] = {
        "id": crypto.new_id("adm"), "first_estab_id": estab.id, "name": "Jo Bloggs", "email": email,
        "email_folded": email.casefold(), "sign_in_email": email.casefold(), "username": estab.estab_id.casefold(),
        "mobile": "+447700900123", "mobile_confirmed_at": None, "first_role": role,
        "password_hash": runtime.passwords().hash(password), "password_changed_at": now,
        "created_at": now, "updated_at": now, "removed_at": None,
    }  # fmt: skip
    person = Administrator(**(values | overrides))
    session().add(person)
    session().flush()
    a_membership(person, estab, role=role, removed_at=person.removed_at)
    return person


def a_membership(
    person: Administrator, estab: Estab | None = None, *, role: str = "owner", removed_at: datetime | None = None
) -> Membership:
    """The membership by which `person` acts for `estab`, or for a new verified one, besides those they have already."""
    membership = Membership(
        person_id=person.id, estab_id=(estab or an_estab()).id, role=role, added_at=clock.now(), signed_in_at=None,
        removed_at=removed_at,
    )  # fmt: skip
    session().add(membership)
    session().flush()
    session().refresh(membership)
    session().refresh(person)
    _ = person.memberships  # loaded, for tests that use it after the transaction
    return membership


def a_partner(**overrides: Any) -> Partner:
    """A partner: a company with applications."""
    values: dict[str, Any] = {
        "id": crypto.new_id("par"), "name": f"Assembly {next(_numbers)}", "website": "https://assembly.example",
        "contact_email": "developers@assembly.example", "created_at": clock.now(), "disabled_at": None,
    }  # fmt: skip
    partner = Partner(**(values | overrides))
    session().add(partner)
    session().flush()
    return partner


def secret_of(client_id: str) -> str:
    """The secret of a client that `a_client` made."""
    return f"a-secret-for-tests-of-{client_id}"


def a_client(partner: Partner | None = None, **overrides: Any) -> Client:
    """A confidential client of `partner`, or of a new one; `secret_of(client.id)` is its secret."""
    partner, now = partner or a_partner(), clock.now()
    values: dict[str, Any] = {
        "id": f"client-{next(_numbers)}", "partner_id": partner.id, "client_name": "Assembly",
        "client_uri": "https://assembly.example", "purpose": "Showing schools what their data says.",
        "policy_uri": "https://assembly.example/privacy", "agreement_uri": "https://assembly.example/agreement",
        "agreement_version": "2026-01", "profile": "oidc", "redirect_uris": ["https://assembly.example/callback"],
        "post_logout_redirect_uris": ["https://assembly.example/signed-out"],
        "initiate_login_uri": "https://assembly.example/initiate", "backchannel_logout_uri": None,
        "backchannel_logout_session_required": False,
        "grant_types": frozenset({"authorization_code", "refresh_token"}),
        "token_endpoint_auth_method": "client_secret_basic", "token_endpoint_auth_signing_alg": None,
        "required_scopes": frozenset(
            {"openid", "profile", "email", "phone", "organisation", "offline_access", "school", "students"}
        ),
        "optional_scopes": frozenset({"attendance", "students.sen"}), "client_scopes": frozenset(),
        "accepted_mis": frozenset(), "authorisation_days": None, "require_pkce": True,
        "dpop_bound_access_tokens": False, "rotate_refresh_tokens": False, "id_token_signed_response_alg": "RS256",
        "userinfo_signed_response_alg": None, "request_object_signing_alg": None, "subject_type": "public",
        "sector_identifier": None, "sector_identifier_uri": None, "jwks": None, "jwks_uri": None, "contacts": [],
        "enabled": True, "version": 1, "created_at": now, "updated_at": now,
    }  # fmt: skip
    client = Client(**(values | overrides))
    session().add(client)
    session().flush()
    if client.token_endpoint_auth_method != "none":
        session().add(
            ClientSecret(
                digest=crypto.digest(secret_of(client.id)), client_id=client.id, sealed=None,
                created_at=now, expires_at=None,
            )
        )  # fmt: skip
    session().flush()
    return client
