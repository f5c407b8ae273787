"""Debian's Chromium, for tests in a real browser."""

import shutil

HEADLESS_SHELL = "chromium-headless-shell"
"""The same engine without windows: with it, the tests of pages take two thirds of the time."""


def program() -> str | None:
    """The path of the headless shell, else of the whole browser; None if neither is installed."""
    return shutil.which(HEADLESS_SHELL) or shutil.which("chromium")
