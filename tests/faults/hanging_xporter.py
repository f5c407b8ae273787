"""XporterOnDemand, which hangs while it applies an extract: after the last write, just before the COMMIT.

`python -m tests.faults.hanging_xporter FILE` creates FILE when it has reached that point.
"""

import sys
import threading
from pathlib import Path
from typing import Any

from clients.xporter import __main__, extracts


def main(reached: Path) -> None:
    """Serve until killed."""
    finish = extracts.finish

    def finish_and_hang(*arguments: Any, **values: Any) -> bool:
        finish(*arguments, **values)
        reached.touch()
        threading.Event().wait()
        return True

    extracts.finish = finish_and_hang
    __main__.main([], standalone_mode=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
