"""Hooks that extensions put around every request, and that we have no use for."""

from collections.abc import Callable
from typing import Any, cast

from flask import Flask, Response

After = Callable[[Response], Response]


def drop(app: Flask, owner: object) -> list[After]:
    """Take away all hooks of `owner` around requests: together they take as long as a short answer.

    Those that look at answers are handed back, for the few views that need them.
    """
    seeing = [hook for hook in app.after_request_funcs.get(None, []) if _is_of(hook, owner)]
    around = app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs
    for hooks in cast("tuple[dict[Any, list[Any]], ...]", around):
        hooks[None] = [hook for hook in hooks.get(None, []) if not _is_of(hook, owner)]
    return cast("list[After]", seeing)


def _is_of(hook: Callable[..., Any], owner: object) -> bool:
    """A method of it, or a function that is given it."""
    return getattr(hook, "__self__", None) is owner or owner in getattr(hook, "args", ())
