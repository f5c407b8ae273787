"""A Flask view that does nothing, served as `idp serve` serves: what the generator proves itself on."""

import sys

from flask import Flask
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

application = Flask("bare")
application.add_url_rule("/", view_func=lambda: "nothing at all")


def serve(port: int, threads: int) -> None:
    """Until stopped; the settings that `idp serve` gives to Granian."""
    Server(
        "bench.bare:application",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=threads,
        backpressure=threads * 32,
        websockets=False,
        log_level=LogLevels.warning,
    ).serve()


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
