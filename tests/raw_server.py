"""A server on this machine that sends any bytes it is given, valid HTTP or not, at any speed."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass
class RawServer:
    """A server that sends one response, in chunks of `chunk_size` bytes with a pause of `delay` seconds after each.

    It waits for a request first, unless it `speaks_first`, as a mail server does.
    """

    url: str
    response: bytes = b""
    delay: float = 0.0
    chunk_size: int = 1 << 20
    speaks_first: bool = False

    def respond(self, connection: socket.socket) -> None:
        """Send the response, and read whatever the client sends."""
        with suppress(OSError), connection:
            if not self.speaks_first:
                connection.recv(65_536)
            for start in range(0, len(self.response), self.chunk_size):
                connection.sendall(self.response[start : start + self.chunk_size])
                time.sleep(self.delay)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(1)
            while connection.recv(65_536):
                pass


@contextmanager
def raw_server() -> Iterator[RawServer]:
    """Serves one connection after the other until the context ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = RawServer(f"http://127.0.0.1:{listener.getsockname()[1]}/")

        def serve() -> None:
            with suppress(OSError):
                while True:
                    server.respond(listener.accept()[0])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
