"""Note what a sandbox application reaches by requests of its own (`partners.milestones`)."""

from idp.foundation import request_state
from idp.oidc.clients.oauth_client import OAuthClient
from idp.partners import milestones
from idp.partners.milestones import Milestone


def note(client: OAuthClient, name: Milestone) -> None:
    """Note the milestone `name`, unless the console made the request in the application's place."""
    if client.registered.is_sandbox and milestones.FROM_CONSOLE not in request_state.request().environ:
        milestones.note(client.registered, name)
