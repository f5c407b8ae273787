"""Comparison with peers: on this machine, in this run, with the same generator and one worker process each.

They are installed from package registries into a temporary folder; one that cannot be installed is reported and left
out. A rate per vCPU is responses per second of the server's own processor time, for peers as for us: the median of the
rounds. What a server does for a request differs, and `Entrant.method` describes it: the kind of token, where it is
stored, how client secrets are stored.
"""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench import http, servers
from bench.peers import django, keycloak, node
from bench.peers.entrant import (
    CLIENT_CREDENTIALS,
    CODE,
    INTROSPECT,
    REFRESH,
    SILENT,
    USERINFO,
    Entrant,
    NewDatabase,
    Setup,
)
from bench.provider import CODES, Provider
from bench.report import Figure

OUR_NAME: Final = "IDaaS"
MAX_CODE_RATE: Final = 1500
"""Codes per second. Codes are prepared for this rate, which no server exceeds."""
PEERS: Final = {
    "django-oauth-toolkit": django.entrants,
    "node-oidc-provider": node.entrants,
    "Keycloak": keycloak.entrants,
}


def measure(new_database: NewDatabase, folder: Path, *, rounds: int, seconds: float) -> list[Figure]:
    """Measure ourselves and every peer that can be installed, in turn, in rounds."""
    with ExitStack() as stack:
        setup = Setup(stack, new_database, folder, int(MAX_CODE_RATE * (rounds * seconds + keycloak.WARM_UP_SECONDS)))
        entrants = list(_ourselves(setup))
        for name, peer in PEERS.items():
            try:
                entrants += list(peer(setup))
            except (OSError, subprocess.SubprocessError, RuntimeError) as error:
                print(f"{name} cannot be installed here and is left out: {error}", flush=True)
        for number in range(rounds + 1):  # the first is not counted
            for entrant in entrants:
                duration = seconds if number else entrant.warm_up_seconds
                run = servers.run_load(entrant.server, entrant.endpoint.make(int(MAX_CODE_RATE * duration)), duration)
                if number:
                    entrant.endpoint.runs.append(run)
        return [figure for entrant in entrants for figure in _figures(entrant, entrants)]


def _figures(entrant: Entrant, entrants: list[Entrant]) -> Iterator[Figure]:
    """The rate of a server, and ours in relation to it, per vCPU."""
    subject, runs = f"{entrant.request}: {entrant.product}, {entrant.method}", entrant.endpoint.runs
    bound = "GENERATOR-BOUND" if any(run.result.is_generator_bound for run in runs) else ""
    yield Figure(subject, "per vCPU", entrant.per_processor, "/s")
    yield Figure(subject, "at most, one process", entrant.rate, "/s", note=bound)
    if entrant.product != OUR_NAME:
        us = next(other for other in entrants if other.product == OUR_NAME and other.request == entrant.request)
        ratio = us.per_processor / entrant.per_processor
        yield Figure(subject, "we, times that", ratio, "×", entrant.goal, at_least=True)
    yield from http.wrong_responses(subject, runs)


def _ourselves(setup: Setup) -> Iterator[Entrant]:
    provider = Provider(setup.new_database())
    server = setup.stack.enter_context(servers.idp(provider.url, provider.port))
    for request, name, method in (
        (CLIENT_CREDENTIALS, "token: client_credentials", "ES256 JWT"),
        (CODE, CODES["ES256"], "ES256 twice"),
        (CODE, CODES["RS256"], "ES256 and RS256"),
        (REFRESH, "token: refresh", "ES256 twice"),
        (INTROSPECT, "introspect", "ES256 JWT"),
        (USERINFO, "userinfo", "ES256 JWT"),
        (SILENT, "authorize, nothing to ask", "code as a row"),
    ):
        yield Entrant(request, OUR_NAME, f"{method}, PostgreSQL", server, provider.endpoints[name])
