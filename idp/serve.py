"""`idp serve`: Granian, with what makes it stop whenever it is told to.

Granian alone may never stop: a worker that is told to while it starts still has its parent's signal handlers, which do
nothing there, and the parent waits for it without end; a parent that is told to while it replaces a worker may overlook
it. Here a worker ends at once until it serves, is killed when it has not ended after `FAREWELL` seconds, and the parent
ends all of them and itself after `LAST_RESORT`.
"""

import logging
import os
import signal
import socket
import time
from threading import Thread
from typing import Any, Final

import click
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server import Server

from idp.foundation.command import Misconfigured
from idp.foundation.setting_types import ROOT
from idp.foundation.settings import BadSettings, load
from idp.foundation.web import admission

CONNECTIONS: Final = 1024
"""That a worker has open at once, idle ones included: those beyond wait unread, `/healthz` among them."""
FAREWELL: Final = 25
"""Seconds that a worker has for the requests it has begun, after it was told to stop."""
LAST_RESORT: Final = 32.0
"""Seconds after which the parent waits for nothing any more."""
STOPS: Final = (signal.SIGTERM, signal.SIGINT)


class _Server(Server):  # type: ignore[misc, valid-type]  # chosen by Granian for the kind of interpreter
    """Granian's, which cannot overlook that it was told to stop."""

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Stop, and see to it that it happens."""
        if not self.interrupt_signal:
            Thread(target=self._insist, daemon=True).start()
        super().signal_handler_interrupt(*args, **kwargs)

    def _insist(self) -> None:
        """Wake the parent again and again, which may forget that it was woken; in the end, end everything."""
        until = time.monotonic() + LAST_RESORT
        while time.monotonic() < until:
            self.main_loop_interrupt.set()
            time.sleep(0.5)
        for worker in self.wrks:
            worker.kill()
        os._exit(1)


def _end_at_once() -> None:
    """Have a worker end when it is told to: until it serves, it has its parent's signal handlers, which do nothing."""
    for number in STOPS:
        signal.signal(number, signal.SIG_DFL)


def _refuse_a_port_in_use(host: str, port: int) -> None:
    """Granian shares its port with any other process that shares it, and requests would go to either in turn."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((host, port))
        except OSError as error:
            raise click.ClickException(f"cannot listen on {host}, port {port}: {error.strerror}") from error


@click.command()
@click.option("--host", help="Address to listen on; the setting server.host otherwise.")
@click.option("--port", type=int, help="Port to listen on; the setting server.port otherwise.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes; the setting server.workers otherwise.")
def serve(host: str | None, port: int | None, workers: int | None) -> None:
    """Serve the identity provider with Granian until stopped; TLS is the proxy's business.

    The settings are checked first, and several workers need PostgreSQL. On a stop (SIGTERM or Ctrl-C) requests that
    have begun are finished first; within 35 seconds everything has ended.
    """
    try:
        settings = load()
    except BadSettings as bad:
        raise Misconfigured(str(bad)) from bad
    count = workers or settings.server.workers
    if count > 1 and settings.database.is_sqlite:
        raise click.UsageError("SQLite is for one worker; several need PostgreSQL (database.url).")
    host, port = host or settings.server.host, port or settings.server.port
    _refuse_a_port_in_use(host, port)
    # It warns of more threads than processors; most of ours are for those who wait.
    logging.getLogger("_granian").addFilter(lambda record: "Python threads" not in record.getMessage())
    os.register_at_fork(after_in_child=_end_at_once)
    _Server(
        "wsgi:application",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        workers=count,
        blocking_threads=admission.threads(settings),
        backpressure=CONNECTIONS,
        websockets=False,
        working_dir=ROOT,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=FAREWELL,
    ).serve()
