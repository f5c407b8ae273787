"""What a partner's people make themselves: sandbox applications, and fictional schools to try them with."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import func, select

from idp.developers import quick_starts
from idp.estabs import fictional, passphrases
from idp.estabs.models import Estab
from idp.foundation import clock, runtime, scopes
from idp.foundation.database import advisory_lock, session
from idp.foundation.errors import Refusal
from idp.partners import lookalikes, registry, sandbox_clients, trial_secrets
from idp.partners.metadata import REFRESH
from idp.partners.models import Client, Partner
from idp.sharing import authorise
from idp.signin import session as browser_sessions
from idp.signin.models import Developer

MAX_APPLICATIONS: Final = 20
"""How many sandbox applications a partner may have, disabled ones included, and may make in a day."""
NAME_SUFFIX: Final = " (sandbox)"
"""What their names end with, so that no one takes them for the real ones."""
PURPOSE: Final = "Trying this application with fictional schools."
AGREEMENT_VERSION: Final = "sandbox"
"""`PURPOSE` and this stand in their registration instead of a purpose and of the version of an agreement."""


class TooManyApplications(Refusal):
    """The partner has as many sandbox applications as it may have."""

    code, status, title = "too_many_sandbox_applications", 409, "You have reached the limit of sandbox applications"
    message = (
        f"There can be {MAX_APPLICATIONS} sandbox applications, and as many are made in a day. Please use one of those "
        "that you have, or remove one that you do not need."
    )


@dataclass(frozen=True, slots=True)
class Staff:
    """One of our staff, or a job, doing what a partner's people do."""

    id: str
    """Who it is, for the audit log."""
    partner: Partner

    @property
    def partner_id(self) -> str:
        """The id of the partner."""
        return self.partner.id


Actor = Developer | Staff


@dataclass(frozen=True, slots=True)
class NewSchool:
    """A fictional school with the password of its owner, which is shown once."""

    estab: Estab
    username: str
    password: str


def software() -> list[quick_starts.QuickStart]:
    """The quick starts of software at which people sign in."""
    return [item for item in quick_starts.catalogue().values() if item.registration.get("redirect_uris")]


def make_application(
    actor: Actor, *, name: str, quick_start_id: str, address: str, security: str = "",
    jwks: dict[str, Any] | None = None,
) -> tuple[Client, str | None]:  # fmt: skip
    """Register a sandbox application for the software chosen, and return its secret, once.

    `security` is `private_key_jwt` or `fapi2` where it signs by one of the keys of `jwks` instead of having a secret;
    if it is empty, what the software's quick start registers. It may ask fictional schools for every scope. Raises
    `TooManyApplications`, `UnknownQuickStart`, `InvalidValue` for the URL, and `InvalidClientMetadata` for the
    name and the keys.
    """
    advisory_lock("sandbox of a partner", actor.partner_id)
    own_clients = Client.partner_id == actor.partner_id, Client.is_sandbox
    today = Client.created_at > clock.now() - timedelta(days=1)
    for condition in (Client.removed_at.is_(None), today):  # the applications made today include removed ones
        count = select(func.count()).select_from(Client).where(*own_clients, condition)
        if (session().scalar(count) or 0) >= MAX_APPLICATIONS:
            raise TooManyApplications(reason=actor.partner_id)
    lookalikes.check_name(name, actor.partner_id)
    values = quick_starts.fill_values("", address)
    quick_start = quick_starts.find(quick_start_id)
    registration = quick_starts.render(quick_start, values).registration
    if security := security or quick_start.security:
        registration |= {"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks}
        registration |= {"profile": "fapi2" if security == "fapi2" else "oidc"}
        registration.pop("jwks_uri", None)
    return registry.register(_manifest(actor, name, registration), by=actor.id, is_sandbox=True)


def remove_application(actor: Actor, client_id: str) -> Client:
    """Remove a sandbox application for good. Raises `UnknownSandboxApplication`."""
    return sandbox_clients.remove(actor.partner_id, client_id, by=actor.id)


def remove_school(actor: Actor, estab_id: str) -> Estab:
    """Remove a fictional school: its account is closed for good, and its person's sessions end.

    Raises `UnknownFictionalSchool`.
    """
    estab = fictional.find(actor.partner_id, estab_id)
    owner = fictional.owner(estab)
    fictional.close(estab, by=actor.id)
    browser_sessions.end_all(owner.id, "removed")
    return estab


def names_of_authorised(estab: Estab) -> list[str]:
    """The names of the applications that a fictional school has authorised."""
    clients = (registry.find(agreement.client_id) for agreement in authorise.current(estab.id))
    return sorted(client.client_name for client in clients if client.removed_at is None)


def has_try_it(client: Client) -> bool:
    """Whether the console can walk through a sign-in with this application: it may receive people back for it."""
    return client.is_sandbox and client.enabled and try_it_url() in client.redirect_uris


def try_it_url() -> str:
    """The redirect URI of the console itself."""
    return runtime.url(trial_secrets.CALLBACK)


def generate_password() -> tuple[str, str]:
    """A password for a fictional school's owner, and its hash. Slow: call it outside a transaction."""
    password = passphrases.generate()
    return password, runtime.passwords().hash(password)


def make_school(actor: Actor, kind: str, *, mis: str, password: tuple[str, str], is_verified: bool) -> NewSchool:
    """Make a fictional school. Raises `TooManyFictionalSchools` and `NoRegister`."""
    estab = fictional.open_school(
        actor.partner_id, kind, mis=mis, password_hash=password[1], is_verified=is_verified, by=actor.id
    )
    return NewSchool(estab, fictional.owner(estab).username, password[0])


def replace_password(actor: Actor, estab_id: str, *, password: tuple[str, str]) -> NewSchool:
    """Give the owner of a fictional school another password; their sessions end. Raises `UnknownFictionalSchool`."""
    estab = fictional.find(actor.partner_id, estab_id)
    person = fictional.set_password(estab, password[1], by=actor.id)
    browser_sessions.end_all(person.id, "password_changed")
    return NewSchool(estab, person.username, password[0])


def verify(actor: Actor, estab_id: str) -> Estab:
    """Verify a fictional school. Raises `UnknownFictionalSchool` and `WrongState`."""
    estab = fictional.find(actor.partner_id, estab_id)
    fictional.verify(estab, by=actor.id)
    return estab


def _manifest(actor: Actor, name: str, registration: dict[str, Any]) -> dict[str, Any]:
    """The manifest: the registration of the software, with placeholders for what only live applications need."""
    partner = actor.partner
    required = frozenset(registration["scopes"].get("required", ()))
    optional = frozenset(name for name, scope in scopes.for_partners().items() if scope.kind != "client") - required
    if REFRESH not in registration.get("grant_types", ()):
        optional -= {"offline_access"}
    return {
        **registration,
        "redirect_uris": [*registration["redirect_uris"], try_it_url()],
        "partner": partner.name, "client_name": f"{name}{NAME_SUFFIX}", "client_uri": partner.website,
        "purpose": PURPOSE, "policy_uri": partner.website,
        "agreement_uri": partner.website, "agreement_version": AGREEMENT_VERSION,
        "scopes": {"required": sorted(required), "optional": sorted(optional)},
    }  # fmt: skip
