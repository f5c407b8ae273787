"""The log: a file of plain sentences that a person can read out to support. It rotates at one megabyte."""

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

FORMAT: Final = "%(asctime)s %(levelname)s %(message)s"
MAX_BYTES: Final = 1_000_000
FILE_COUNT: Final = 5


def begin(folder: Path, *, to_screen: bool) -> logging.Handler:
    """Log to a file in the folder, and to the screen if `to_screen`. On a full disk, lines are lost and work continues.

    Returns the handler of the file; `end` closes it.
    """
    logger = logging.getLogger(__package__)
    logger.setLevel(logging.INFO)
    logging.raiseExceptions = False
    handler = RotatingFileHandler(folder / "endpoint.log", maxBytes=MAX_BYTES, backupCount=FILE_COUNT, encoding="utf-8")
    handler.setFormatter(logging.Formatter(FORMAT))
    logger.addHandler(handler)
    if to_screen:
        screen = logging.StreamHandler()
        screen.setFormatter(logging.Formatter(FORMAT))
        logger.addHandler(screen)
    return handler


def end() -> None:
    """Close all handlers."""
    logger = logging.getLogger(__package__)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
