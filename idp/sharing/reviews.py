"""What waits to be reviewed: a client asks for more than a school was asked about, or has a new agreement to be read.

A review is not stored. It is the difference between the client's registration and what the school has considered. The
agreement in force is not affected meanwhile. `reviewing` has the school's decision.
"""

from dataclasses import dataclass

from idp.foundation import scopes
from idp.foundation.scopes import Scope
from idp.partners import registry
from idp.partners.snapshots import AnyClient
from idp.sharing.models import Authorisation


@dataclass(frozen=True, slots=True)
class Review:
    """What a client asks for beyond what the school was asked about."""

    required: frozenset[str]
    """Scopes that it cannot work without, and that the school has not agreed to."""
    optional: frozenset[str]
    version: str | None
    """The new version of the data sharing agreement; None where the school has decided about it."""

    @property
    def needed(self) -> list[Scope]:
        """The required data areas."""
        return scopes.in_order(scopes.filter_by_kind("data", self.required))

    @property
    def choices(self) -> list[Scope]:
        """The optional data areas, specially protected ones last."""
        return scopes.ordinary_first(scopes.filter_by_kind("data", self.optional))

    @property
    def about_you(self) -> list[Scope]:
        """What the client would be told about people who sign in, and of the school's public entry."""
        return scopes.in_order(scopes.filter_by_kind("identity", self.required | self.optional))

    @property
    def is_about_scopes(self) -> bool:
        """Whether more is asked for, and not a new version of the agreement alone."""
        return bool(self.required or self.optional)

    @property
    def shown(self) -> str:
        """The review as text, to notice that it has changed since a page showed it."""
        return f"{scopes.format(self.required)}|{scopes.format(self.optional)}|{self.version or ''}"

    def chosen(self, ticked: frozenset[str]) -> frozenset[str]:
        """The scopes that are agreed to if these areas are ticked."""
        return self.required | scopes.filter_by_kind("identity", self.optional) | (self.optional & ticked)


def find_pending(agreement: Authorisation, client: AnyClient | None = None) -> Review | None:
    """The review that waits for the school of `agreement`; None without one, and once the agreement is over.

    `client` is its registration as it is now, looked up if not passed.
    """
    client = client or registry.client(agreement.client_id)
    if client is None or agreement.state not in {"active", "paused"}:
        return None
    return difference(
        client, agreed=agreement.scopes, considered=agreement.considered_scopes,
        considered_required=agreement.considered_required,
        version=agreement.agreement if agreement.considered_agreement is None else agreement.considered_agreement,
    )  # fmt: skip


def difference(
    client: AnyClient, *, agreed: frozenset[str], considered: frozenset[str] | None,
    considered_required: frozenset[str] | None, version: str,
) -> Review | None:  # fmt: skip
    """What `client` asks for beyond what was considered and what was agreed to."""
    required = optional = frozenset[str]()
    if considered is not None:
        new = scopes.known(client.scopes) - considered
        newly_required = scopes.known(client.required_scopes) - (considered_required or frozenset())
        required = ((new & client.required_scopes) | newly_required) - agreed
        optional = (new & client.optional_scopes) - agreed
    new_version = client.agreement_version if client.agreement_version != version else None
    if not required and not optional and new_version is None:
        return None
    return Review(required, optional, new_version)
