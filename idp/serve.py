"""`idp serve`: run Granian, and make sure that it stops when it is told to.

Granian alone may never stop. A worker that receives SIGTERM while it starts still has its parent's signal handlers,
which do nothing there, and the parent waits for it for ever; a parent that receives SIGTERM while it replaces a worker
may miss it. Here SIGTERM ends a starting worker at once, a worker that has not ended after `STOP_TIMEOUT_SECONDS` is
killed, and the parent kills all workers and ends itself after `FORCED_STOP_SECONDS`.
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
from idp.foundation.load_settings import InvalidSettings, load
from idp.foundation.setting_types import ROOT
from idp.foundation.web import admission

MAX_CONNECTIONS: Final = 1024
"""How many connections a worker reads from, including idle ones; further ones wait, also those for `/healthz`."""
STOP_TIMEOUT_SECONDS: Final = 25
"""How long a stopping worker may take to finish its requests."""
FORCED_STOP_SECONDS: Final = 32.0
"""After this time the parent kills its workers and exits."""
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class _Server(Server):  # type: ignore[misc, valid-type]  # which class it is depends on the interpreter
    """Granian's server, with a stop that cannot be missed."""

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Stop as Granian does, and force the stop if that takes too long."""
        if not self.interrupt_signal:
            Thread(target=self._force_stop, daemon=True).start()
        super().signal_handler_interrupt(*args, **kwargs)

    def _force_stop(self) -> None:
        """Repeat the stop, which the parent may miss; after `FORCED_STOP_SECONDS` kill all processes."""
        until = time.monotonic() + FORCED_STOP_SECONDS
        while time.monotonic() < until:
            self.main_loop_interrupt.set()
            time.sleep(0.5)
        for worker in self.wrks:
            worker.kill()
        os._exit(1)


def _restore_default_handlers() -> None:
    """Let a signal end a starting worker, which has inherited its parent's handlers; those do nothing in a worker."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def _check_port_is_free(host: str, port: int) -> None:
    """Raise `ClickException` if the port is in use: Granian would share it, and requests would go to either process."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((host, port))
        except OSError as error:
            raise click.ClickException(f"cannot listen on {host}, port {port}: {error.strerror}") from error


@click.command()
@click.option("--host", help="IP address to listen on; the setting server.host otherwise.")
@click.option("--port", type=int, help="Port to listen on; the setting server.port otherwise.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes; the setting server.workers otherwise.")
def serve(host: str | None, port: int | None, workers: int | None) -> None:
    """Serve the identity provider with Granian until stopped; TLS is left to the proxy.

    The settings are checked first, and several workers need PostgreSQL. On a stop (SIGTERM or Ctrl-C) requests that
    have begun are finished first; within 35 seconds everything has ended.
    """
    try:
        settings = load()
    except InvalidSettings as error:
        raise Misconfigured(str(error)) from error
    count = workers or settings.server.workers
    if count > 1 and settings.database.is_sqlite:
        raise click.UsageError("SQLite is for one worker; several need PostgreSQL (database.url).")
    host, port = host or settings.server.host, port or settings.server.port
    _check_port_is_free(host, port)
    # Granian warns of more threads than processors; most of ours are for waiting requests.
    logging.getLogger("_granian").addFilter(lambda record: "Python threads" not in record.getMessage())
    os.register_at_fork(after_in_child=_restore_default_handlers)
    _Server(
        "wsgi:application",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        workers=count,
        blocking_threads=admission.threads(settings),
        backpressure=MAX_CONNECTIONS,
        websockets=False,
        working_dir=ROOT,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_TIMEOUT_SECONDS,
    ).serve()
