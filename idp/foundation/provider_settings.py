"""Settings of outside identity providers: Microsoft 365 and Google Workspace."""

from pydantic import SecretStr

from idp.foundation.setting_types import BaseUrl, ProviderIssuer, Section


class Provider(Section):
    """An outside identity provider, and how we are registered there.

    Its metadata is read from `authority`. In `issuer`, `{tenantid}` stands for the organisation of the account; without
    it, accounts of one issuer alone are accepted.
    """

    enabled: bool
    client_id: str
    client_secret: SecretStr
    authority: BaseUrl
    issuer: ProviderIssuer


class Federation(Section):
    """Signing in with an account of another identity provider; `enabled` switches all of it on."""

    enabled: bool
    microsoft: Provider
    google: Provider

    @property
    def providers(self) -> dict[str, Provider]:
        """Each provider by its name."""
        return {"microsoft": self.microsoft, "google": self.google}
