"""Sessions of requests that use the proxies of the environment, and no password from `.netrc`."""

import requests


def without_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave `Authorization` as it is: without this, requests would replace it by the host's entry in `.netrc`."""
    return request


def new_session() -> requests.Session:
    """A session that sends our own `Authorization`, or none."""
    session = requests.Session()
    session.auth = without_netrc
    return session
