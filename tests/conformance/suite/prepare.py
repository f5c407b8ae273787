"""Register what the conformance suite uses; run again, it replaces what was there and makes new secrets."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from joserfc.jwk import ECKey, KeyParameters, KeySet, RSAKey
from sqlalchemy import select

from idp.estabs import accounts, credentials, passphrases
from idp.estabs.models import Administrator
from idp.foundation import clock, runtime
from idp.foundation.database import session
from idp.foundation.errors import Refusal
from idp.foundation.setting_types import ROOT
from idp.onboarding import review
from idp.partners import initial_tokens, registry
from idp.schools import status
from idp.schools.models import School

FILE: Final = ROOT / "config" / "conformance.toml"
BY: Final = "cli"


class RefusedInProduction(Refusal):
    """This service runs in production."""

    code, status, title = "not_here", 403, "Not in production"
    message = "This makes clients and a person for tests, so production refuses it."


class NoSchool(Refusal):
    """The register is empty, or all of its schools have registered."""

    code, status, title = "no_school", 409, "No school is left"
    message = (
        "There is no open school without an account. Import a register first: "
        "idp schools refresh --from config/sample-register.csv --links config/sample-register-links.csv"
    )


@dataclass(frozen=True, slots=True)
class Credentials:
    """How one of the suite's clients authenticates: by a secret, or by private keys as a JWK Set."""

    client_id: str
    secret: str | None
    keys: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """The values that the suite's configurations need."""

    suite: str
    api: str
    """The URL of XporterOnDemand, which some plans call."""
    username: str
    password: str
    clients: dict[str, Credentials]
    initial_token: str


def prepare_all(suite: str | None = None, api: str | None = None) -> Prepared:
    """Register it all, with the suite's URLs below `suite`, and XporterOnDemand at `api`.

    Raises `RefusedInProduction`, `NoSchool`, and `InvalidMetadata` where a client may not have one of the URLs.
    """
    if runtime.settings().environment == "production":
        raise RefusedInProduction
    document = tomllib.loads(FILE.read_text("utf-8"))
    urls = {"suite": (suite or document["suite"]).rstrip("/"), "api": (api or document["api"]).rstrip("/")}
    if not any(partner.name == document["partner"]["name"] for partner in registry.all_partners()):
        registry.add_partner(**document["partner"])
    clients = {name: _client(name, definition, document, urls) for name, definition in document["clients"].items()}
    username, password = _person(document["person"])
    limits = dict(document["initial_token"])
    lasts = timedelta(days=limits.pop("lasts_days"))
    _, token = initial_tokens.issue(document["partner"]["name"], limits, lasts=lasts, by=BY)
    return Prepared(**urls, username=username, password=password, clients=clients, initial_token=token)


def _client(client_id: str, definition: dict[str, Any], document: dict[str, Any], urls: dict[str, str]) -> Credentials:
    """Register one client, or replace it."""
    own = {name: value for name, value in definition.items() if name not in {"kind", "key"}}
    manifest = {**document["every"], **document["kinds"][definition["kind"]], **own, "client_id": client_id}
    manifest = {name: _fill_in_urls(value, urls) for name, value in manifest.items()}
    keys = None
    if "key" in definition:
        keys = _new_keys(definition["key"], client_id)
        manifest["jwks"] = keys.as_dict(private=False)
    try:
        client, secret = registry.change(manifest, by=BY)
    except registry.UnknownClient:
        client, secret = registry.register(manifest, by=BY)
    if secret is None and keys is None and "jwks_uri" not in manifest:
        secret = registry.rotate_secret(client.id, overlap=timedelta(0), by=BY)
    return Credentials(client.id, secret, dict(keys.as_dict(private=True)) if keys else None)


def _new_keys(alg: str, client_id: str) -> KeySet:
    """A pair of keys for signatures by `alg`."""
    parameters: KeyParameters = {"kid": f"{client_id}-{clock.timestamp()}", "use": "sig", "alg": alg}
    if alg == "ES256":
        return KeySet([ECKey.generate_key("P-256", parameters)])
    return KeySet([RSAKey.generate_key(2048, parameters)])


def _person(definition: dict[str, str]) -> tuple[str, str]:
    """Username and new password of the person, whose school is verified."""
    person = session().scalar(select(Administrator).where(Administrator.email == definition["email"]))
    if person is None:
        estab, person = accounts.register(_free_school(), **definition)
        review.open_for(estab)
        review.verify(estab.estab_id, by=BY)
    password = passphrases.generate()
    credentials.set_hash(person, runtime.passwords().hash(password), by=BY, is_generated=True)
    return person.username, password


def _free_school() -> School:
    """An open school without an account, from the end of the register: people try those at its beginning."""
    schools: Iterable[School] = session().scalars(select(School).order_by(School.id.desc()).limit(200))
    for school in schools:
        if status.reason_not_to_register(school) is None and accounts.find_by_school(school.id) is None:
            return school
    raise NoSchool


def _fill_in_urls(value: Any, urls: dict[str, str]) -> Any:
    """A manifest's value, with URLs in place of `{suite}` and `{api}`."""
    if isinstance(value, str):
        for name, url in urls.items():
            value = value.replace(f"{{{name}}}", url)
        return value
    if isinstance(value, list):
        return [_fill_in_urls(item, urls) for item in value]
    return value
