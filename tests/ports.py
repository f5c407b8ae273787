"""Ports of this machine."""

import atexit
import socket
from contextlib import ExitStack

_reserved = ExitStack()
atexit.register(_reserved.close)


def free_port(host: str = "127.0.0.1") -> int:
    """A port of `host` without a listener, reserved for this process, its children and its threads.

    A socket stays bound to it and never listens: the system gives the port to no other program, and servers, which
    set SO_REUSEADDR, may listen on it.
    """
    reserved = _reserved.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind((host, 0))
    return int(reserved.getsockname()[1])
