"""django-oauth-toolkit, on PostgreSQL and Granian like ours; its access tokens are rows."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from bench import servers
from bench.peers import entrant
from bench.peers.entrant import CLIENT_CREDENTIALS, CODE, Entrant, Requests, Setup
from tests.ports import free_port

PATHS: Final = {CLIENT_CREDENTIALS: "/o/token/", CODE: "/o/token/"}


def entrants(setup: Setup) -> Iterator[Entrant]:
    """Two ways to store a client's secret, and code for tokens."""
    home = setup.folder / "django"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, timeout=entrant.INSTALL_TIMEOUT_SECONDS)
    entrant.copy(home, "requirements.txt", "django_oauth_toolkit.py")
    programs = home / "bin"
    entrant.install([str(programs / "pip"), "install", "--quiet", "-r", "requirements.txt"], home)
    version = entrant.pinned_version("requirements.txt", "django-oauth-toolkit == ")
    port, codes = free_port(), home / "codes"
    settings = {**entrant.environment(setup.new_database()), "KEY": str(home / "key.pem")}
    script = home / "django_oauth_toolkit.py"
    servers.run_to_end([str(programs / "python"), str(script), str(setup.codes), str(codes)], settings)
    command = [str(programs / "granian"), *servers.granian(port, 2), f"{script.stem}:application"]
    server = setup.stack.enter_context(servers.running(command, port, settings, home))
    product, requests = f"django-oauth-toolkit {version}", Requests(port, PATHS)
    for storage, client in (("secret kept plain", "itself"), ("secret hashed", "itself-hashed")):
        yield Entrant(
            CLIENT_CREDENTIALS, product, f"row, PostgreSQL, {storage}", server, requests.client_credentials(client)
        )
    yield Entrant(CODE, product, "row and RS256, PostgreSQL", server, requests.codes(codes.read_text("ascii").split()))
