"""A server on this machine that answers with the very bytes it is told to, sound or not, and as slowly."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass
class Answering:
    """Where it is, what it says, and the seconds between two pieces of so many bytes.

    It waits to be asked, unless it is to say everything `at_once`, as a mail server begins.
    """

    url: str
    says: bytes = b""
    every: float = 0.0
    piece: int = 1 << 20
    at_once: bool = False

    def answer(self, connection: socket.socket) -> None:
        """Say it, and take whatever comes."""
        with suppress(OSError), connection:
            if not self.at_once:
                connection.recv(65_536)
            for at in range(0, len(self.says), self.piece):
                connection.sendall(self.says[at : at + self.piece])
                time.sleep(self.every)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(1)
            while connection.recv(65_536):
                pass


@contextmanager
def answering() -> Iterator[Answering]:
    """Answers one after the other, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        served = Answering(f"http://127.0.0.1:{listener.getsockname()[1]}/")

        def serve() -> None:
            with suppress(OSError):
                while True:
                    served.answer(listener.accept()[0])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield served
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
