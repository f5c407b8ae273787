"""The lower limit of an endpoint's time: a bare view and the hashes, signatures and statements that it needs.

It is measured in the same run as the endpoint, so that *share* (lower limit ÷ measured) says how much of its time is
necessary, on any machine.
"""

import hashlib
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from sqlalchemy import Connection, Engine, text

ATTEMPTS = 200
"""How often each operation is timed."""


@dataclass(frozen=True, slots=True)
class Needs:
    """How often an endpoint needs each operation; the keys of `operation_times` have the same names."""

    sha256: int = 0
    es256: int = 0
    es256_verify: int = 0
    rs256: int = 0
    read: int = 0
    """A SELECT of one row in autocommit."""
    alone: int = 0
    """An UPDATE of one row in autocommit."""
    write: int = 0
    """An UPDATE of one row in a transaction."""
    commit: int = 0
    """BEGIN and COMMIT of a transaction that wrote."""


NEEDS = {
    "token: client_credentials": Needs(sha256=1, es256=1),
    "token: refresh": Needs(sha256=2, es256=2, read=1),
    "token: code, all ES256": Needs(sha256=4, es256=2, read=1, write=2, commit=1),
    "token: code, ID token RS256": Needs(sha256=4, es256=1, rs256=1, read=1, write=2, commit=1),
    "introspect": Needs(sha256=1, es256_verify=1, read=1),
    "userinfo": Needs(es256_verify=1, read=1),
    "par": Needs(sha256=2, alone=1),
    "authorize, nothing to ask": Needs(sha256=2, read=2, write=2, commit=1),
}
"""The needs of each endpoint, by the name of its subject in `costs`."""


def operation_times(engine: Engine, reading: Engine) -> dict[str, float]:
    """Microseconds for each operation of `Needs`: the first decile of the attempts, as in `costs`.

    `reading` is the engine in autocommit.
    """
    ec_key, rsa_key = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    ecdsa, message = ec.ECDSA(hashes.SHA256()), b"x" * 500
    signature, public = ec_key.sign(message, ecdsa), ec_key.public_key()
    microseconds = {
        "sha256": _timed(lambda: hashlib.sha256(message).digest()),
        "es256": _timed(lambda: ec_key.sign(message, ecdsa)),
        "es256_verify": _timed(lambda: public.verify(signature, message, ecdsa)),
        "rs256": _timed(lambda: rsa_key.sign(message, padding.PKCS1v15(), hashes.SHA256())),
    }
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE bench_rows (id INTEGER PRIMARY KEY, times INTEGER)"))
        connection.execute(text("INSERT INTO bench_rows VALUES (1, 0)"))
    with engine.connect() as connection:
        read, write = _in_transaction(connection)
        transaction_time = _timed(lambda: _transaction(connection))
    with reading.connect() as connection:
        alone = _timed(lambda: connection.execute(_WRITE))
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE bench_rows"))
    return microseconds | {"read": read, "alone": alone, "write": write, "commit": max(transaction_time - write, 0.0)}


def lower_limit(needs: Needs, times: dict[str, float], bare: float) -> float:
    """The lower limit in microseconds: a bare view and the operations, with statements as SQLAlchemy runs them."""
    operations: float = sum(number * times[name] for name, number in asdict(needs).items())
    return bare + operations


_READ = text("SELECT times FROM bench_rows WHERE id = 1")
_WRITE = text("UPDATE bench_rows SET times = times + 1 WHERE id = 1")


def _in_transaction(connection: Connection) -> tuple[float, float]:
    read = _timed(lambda: connection.execute(_READ).one())
    write = _timed(lambda: connection.execute(_WRITE))
    connection.rollback()
    return read, write


def _transaction(connection: Connection) -> None:
    connection.execute(_WRITE)
    connection.commit()


def _timed(do: Callable[[], object]) -> float:
    durations: list[float] = []
    for _ in range(ATTEMPTS):
        began = time.perf_counter()
        do()
        durations.append((time.perf_counter() - began) * 1e6)
    return statistics.quantiles(durations, n=10)[0]
