"""The demonstration partner as partners run it: its own process's worth of code, port, folder and secret."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clients.assembly.app import create_app
from clients.assembly.settings import Settings
from idp.demo.prepare import manifest_at
from idp.partners import registry
from tests.conftest import Work
from tests.ports import free_port
from tests.serving import serving


@contextmanager
def a_partner_served(issuer: str, work: Work, folder: Path) -> Iterator[str]:
    """Register Assembly at the provider and serve it until the block ends; its address."""
    port = free_port()
    url = f"http://localhost:{port}"
    manifest = manifest_at(url)
    with work():
        registry.add_partner(manifest["partner"], website=manifest["client_uri"], contact_email=manifest["contacts"][0])
        _, secret = registry.register(manifest)
    assert secret is not None
    settings = Settings(issuer, manifest["client_id"], secret, port, folder)
    with serving(create_app(settings), port):
        yield url
