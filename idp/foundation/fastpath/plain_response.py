"""A response whose whole body is there: sent without Werkzeug's preparations for ranges, conditions and streams."""

from collections.abc import Callable, Iterable
from typing import Any

from flask import Response


class PlainResponse(Response):
    """A response of some bytes, for programs: no redirect, no range, no condition."""

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Callable[[bytes], object]]
    ) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        start_response(self.status, list(self.headers))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [self.get_data()]
