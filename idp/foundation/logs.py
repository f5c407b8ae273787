"""Logs: one line per event, structured, from an allow-list of fields, and never a secret.

A request is logged by its route's rule, not its path: paths and queries can carry secrets. The `authlib`
logger stays at WARNING whatever is asked for, because at DEBUG it prints whole tokens (protocol.md §4.2).
"""

import logging
import re
import sys
import time
import warnings
from typing import Any

import structlog
from flask import Flask, Response, request
from joserfc.errors import SecurityWarning
from structlog.typing import EventDict, WrappedLogger

from idp.foundation.fastpath import request_line
from idp.foundation.settings import Settings
from idp.foundation.web import middleware

ALLOWED_FIELDS = frozenset(
    {
        "event", "level", "timestamp", "logger", "request", "method", "route", "status", "ms", "address", "error",
        "exc_info", "exception", "code", "reason", "client", "estab", "person", "operator", "job", "count",
        "seconds", "message", "kind", "channel", "attempt", "key", "version", "row", "name", "url", "file",
        "checkpoint",
    }
)  # fmt: skip
"""Fields that may be written; any other is dropped, and its name is noted in `dropped`."""

_SECRETS = re.compile(
    r"(?i)(?P<jwt>eyJ[\w-]{6,}\.[\w-]+\.[\w-]*)"
    r"|\b(?P<scheme>(?:basic|bearer|dpop)\s+)[\w+/=.~-]{8,}"
    r"|(?P<name>(?:password|secret|token|code|assertion|cookie)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,}]+"
    r"|(?P<detail>\bDETAIL: )(?s:.*?)(?=\n\[SQL: |\n\n|\Z)"  # where PostgreSQL quotes the row it would not have
)


def scrub(text: str) -> str:
    """`text` without anything that looks like a credential."""
    return _SECRETS.sub(lambda match: f"{match['scheme'] or match['name'] or match['detail'] or ''}[scrubbed]", text)


def _drop_other_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    dropped = sorted(name for name in event if name not in ALLOWED_FIELDS and not name.startswith("_"))
    for name in dropped:
        del event[name]
    if dropped:
        event["dropped"] = dropped
    return {name: scrub(value) if isinstance(value, str) else value for name, value in event.items()}


def configure(settings: Settings) -> None:
    """Send every logger of the process through one formatter to standard error."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _drop_other_fields,
    ]
    is_json = settings.server.log_format == "json"
    last = structlog.processors.JSONRenderer() if is_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last], foreign_pre_chain=shared
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.server.log_level)
    request_line.configure(is_json=is_json)
    for name in ("authlib", "werkzeug", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings quote whatever a stranger's server sent
    # These are about keys and algorithms that callers name, which our own checks accept or refuse.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


_NOT_LOGGED = frozenset({"static", "brand_css", "health.healthz", "health.readyz"})


def log_requests(app: Flask) -> None:
    """Log one line for each request, when its response is sent."""
    log = structlog.get_logger("idp.request")

    @app.after_request
    def log_request(response: Response) -> Response:
        if not request_line.is_wanted() or request.endpoint in _NOT_LOGGED:
            return response
        environ, rule = request.environ, request.url_rule
        fields = {
            "request": environ[middleware.REQUEST_ID_KEY], "method": request.method,
            "route": rule.rule if rule else "(none)", "status": response.status_code,
            "ms": round((time.monotonic() - environ[middleware.STARTED_KEY]) * 1000, 1), "address": request.remote_addr,
        }  # fmt: skip
        if request_line.is_json():
            request_line.write(fields)
        else:
            log.info("request", **fields)
        return response
