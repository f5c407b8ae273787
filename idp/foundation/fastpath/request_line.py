"""The log line of a request, as JSON, past structlog's processors: all of its fields are our own and harmless."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

_LOGGER: Final = logging.getLogger("idp.request")


def configure(*, is_json: bool) -> None:
    """Write JSON lines to standard error; without `is_json` the logger's lines go the way of all others."""
    _LOGGER.handlers, _LOGGER.propagate = ([logging.StreamHandler(sys.stderr)], False) if is_json else ([], True)


def is_wanted() -> bool:
    """Whether the log level includes a line for each request."""
    return _LOGGER.isEnabledFor(logging.INFO)


def is_json() -> bool:
    """Whether `write` is to be used."""
    return not _LOGGER.propagate


def write(fields: dict[str, object]) -> None:
    """Write a line with the members that structlog would give it."""
    timestamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    line = {"event": "request", **fields, "level": "info", "logger": _LOGGER.name, "timestamp": timestamp}
    _LOGGER.info("%s", json.dumps(line))
