"""node-oidc-provider: in memory, its default, and with a table of PostgreSQL through an adapter of ours."""

import json
from collections.abc import Iterator
from typing import Final

from bench import servers
from bench.peers import entrant
from bench.peers.entrant import (
    CLIENT_CREDENTIALS,
    CODE,
    INTROSPECT,
    REFRESH,
    SILENT,
    USERINFO,
    Entrant,
    Requests,
    Setup,
)
from tests.ports import free_port

PATHS: Final = {
    CLIENT_CREDENTIALS: "/token", CODE: "/token", REFRESH: "/token", INTROSPECT: "/token/introspection",
    USERINFO: "/me", SILENT: "/auth",
}  # fmt: skip
GOALS: Final = {CLIENT_CREDENTIALS: 1.1, REFRESH: 1.1, INTROSPECT: 0.8, USERINFO: 0.8, CODE: 0.75, SILENT: 0.75}
"""The least ratio of our rate per vCPU to its own, where both use PostgreSQL."""


def entrants(setup: Setup) -> Iterator[Entrant]:
    """All six kinds of request on PostgreSQL; in memory, those that issue tokens."""
    home = setup.folder / "node"
    entrant.copy(home, "package.json", "node_oidc_provider.mjs")
    entrant.install(["npm", "install", "--no-audit", "--no-fund", "--silent"], home)
    version = entrant.pinned_version("package.json", '"oidc-provider": "')
    product = f"node-oidc-provider {version}"
    for storage, database in (("in memory", ""), ("PostgreSQL", setup.new_database())):
        port, prepared = free_port(), home / f"prepared {storage}.json"
        variables = entrant.environment(database)
        command = ["node", "node_oidc_provider.mjs", str(port), str(setup.codes), str(prepared)]
        if database:
            command.append(variables["DATABASE"])
        running = servers.running(command, port, variables, home, entrant.PREPARE_TIMEOUT_SECONDS)
        server = setup.stack.enter_context(running)
        prepared_data = json.loads(prepared.read_text("ascii"))
        requests = Requests(port, PATHS, scope="openid")
        signed = requests.client_credentials(resource="https://api.example", scope="schools.list")
        endpoints = [
            ("opaque", requests.client_credentials()),
            ("ES256 JWT", signed),
            ("opaque and ES256", requests.codes(prepared_data["codes"][1:])),
        ]
        if database:
            tokens = requests.tokens(prepared_data["codes"][0])
            endpoints += [
                ("opaque and ES256", requests.refresh(tokens["refresh_token"])),
                ("opaque", requests.introspect(tokens["access_token"])),
                ("opaque", requests.userinfo(tokens["access_token"])),
                ("code as a row", requests.silent_authorize(f"_session={prepared_data['session']}", 303)),
            ]
        for method, endpoint in endpoints:
            goal = GOALS[endpoint.name] if database else None
            yield Entrant(endpoint.name, product, f"{method}, {storage}", server, endpoint, goal)
