"""The providers with whose accounts people may sign in, and the differences between them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from idp.foundation import runtime
from idp.foundation.errors import NotFound
from idp.foundation.provider_settings import Provider as ProviderSettings

TENANT_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""The form of a Microsoft tenant id, which names an organisation."""
PERSONAL_TENANT: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""The tenant id that Microsoft uses for personal accounts."""
_TEMPLATE: Final = "{tenantid}"


@dataclass(frozen=True, slots=True)
class ProviderKind:
    """The differences between the providers."""

    name: str
    title: str
    """The provider's name on a button."""
    account: str
    """The name of its account within a sentence."""
    scope: str
    """The scope of our request: enough to show the person which account it is."""
    tenant_claim: str
    """The claim that names the organisation."""
    prompt_when_signed_in: str
    """The `prompt` for a person who is signed in here already and has to act at the provider. Google has no `login`."""


KINDS: Final = (
    ProviderKind("microsoft", "Microsoft", "Microsoft 365 account", "openid profile", "tid", "login"),
    ProviderKind("google", "Google", "Google Workspace account", "openid email", "hd", "select_account"),
)


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider that is switched on, with its settings."""

    kind: ProviderKind
    settings: ProviderSettings

    @property
    def name(self) -> str:
        """Its name in paths and settings."""
        return self.kind.name

    @property
    def callback(self) -> str:
        """The URL to which it sends the browser back. Each provider has its own (RFC 9700 §4.4.2.2)."""
        return runtime.url(f"/sign-in/with/{self.name}/return")

    @property
    def has_many_issuers(self) -> bool:
        """Whether each organisation has an issuer of its own."""
        return _TEMPLATE in self.settings.issuer

    def is_issuer(self, issuer: object) -> bool:
        """Whether the provider issues tokens under this name, for whichever organisation."""
        if not isinstance(issuer, str):
            return False
        if self.has_many_issuers:
            before, _, after = self.settings.issuer.partition(_TEMPLATE)
            tenant = issuer.removeprefix(before).removesuffix(after)
            return issuer == before + tenant + after and TENANT_ID.fullmatch(tenant) is not None
        return issuer in self._spellings

    def canonical_issuer(self, issuer: str) -> str:
        """The one spelling of an issuer of the provider, under which its accounts are stored."""
        return issuer if self.has_many_issuers else self.settings.issuer

    def tenant(self, claims: Mapping[str, Any]) -> str:
        """The organisation of the account with these claims; empty for a personal account, or where none is named."""
        tenant = claims.get(self.kind.tenant_claim)
        return tenant if isinstance(tenant, str) and tenant != PERSONAL_TENANT else ""

    def issuer_of(self, tenant: str) -> str:
        """The issuer of an organisation's accounts."""
        return self.settings.issuer.replace(_TEMPLATE, tenant)

    @property
    def needs_tenant(self) -> bool:
        """Whether to check that an account belongs to an organisation. A fixed issuer of Microsoft's is one already."""
        return self.has_many_issuers or self.kind.tenant_claim == "hd"

    @property
    def _spellings(self) -> frozenset[str]:
        """Google writes its issuer with or without the scheme; others have one spelling."""
        issuer = self.settings.issuer
        return frozenset({issuer, issuer.removeprefix("https://")} if self.name == "google" else {issuer})


def enabled() -> tuple[Provider, ...]:
    """The providers that are switched on, in the order in which pages show them."""
    settings = runtime.settings().federation
    if not settings.enabled:
        return ()
    providers = (Provider(kind, settings.providers[kind.name]) for kind in KINDS)
    return tuple(provider for provider in providers if provider.settings.enabled)


def find(name: str) -> Provider:
    """The provider of this name. Raises `NotFound` unless it is switched on."""
    for provider in enabled():
        if provider.name == name:
            return provider
    raise NotFound(reason=f"the provider {name[:20]!r} is not switched on")


def kind(name: str) -> ProviderKind:
    """The kind with this name, whether its provider is switched on or not."""
    return next(kind for kind in KINDS if kind.name == name)
