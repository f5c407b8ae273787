"""The log: a file of plain sentences that a person can read out, replaced by a new one at a megabyte."""

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

FORMAT: Final = "%(asctime)s %(levelname)s %(message)s"
MAX_BYTES: Final = 1_000_000
FILES: Final = 5


def begin(folder: Path, *, to_screen: bool) -> logging.Handler:
    """Log into the folder, and onto the screen as well. A full disk loses lines, and stops nothing.

    Returns the handler of the file, to be closed.
    """
    logger = logging.getLogger(__package__)
    logger.setLevel(logging.INFO)
    logging.raiseExceptions = False
    handler = RotatingFileHandler(folder / "endpoint.log", maxBytes=MAX_BYTES, backupCount=FILES, encoding="utf-8")
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
