"""Debian's Chromium, for tests in a real browser."""

import shutil

HEADLESS_SHELL = "chromium-headless-shell"
"""The same engine without what draws windows: the pages' tests take two thirds of the time."""


def program() -> str | None:
    """Where it is installed: the headless shell, else the whole browser; None where neither is."""
    return shutil.which(HEADLESS_SHELL) or shutil.which("chromium")
