"""Ports of this machine."""

import atexit
import socket
from contextlib import ExitStack

_kept = ExitStack()
atexit.register(_kept.close)


def free_port() -> int:
    """A port nobody listens on, kept for whoever of this process's children or threads will.

    A socket stays bound to it and never listens: no other program is given the port meanwhile, as its own or to
    call from, and servers, which say SO_REUSEADDR, may listen on it.
    """
    keeper = _kept.enter_context(socket.socket())
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", 0))
    return int(keeper.getsockname()[1])
