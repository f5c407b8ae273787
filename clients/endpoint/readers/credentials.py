"""The credentials for an MIS that is read over HTTP."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credentials:
    """Username and password; for iSAMS the client id and secret."""

    username: str
    password: str
