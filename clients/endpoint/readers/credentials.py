"""What an MIS that is asked over HTTP wants to know before it answers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credentials:
    """Username and password; for iSAMS the client id and secret."""

    username: str
    password: str
