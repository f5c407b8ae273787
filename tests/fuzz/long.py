"""The fuzzers for as long as one likes: `make fuzz MINUTES=60`. Each file has its share of the time, in rounds.

Each round has a seed of its own, which is told, so that what was found can be found again by the command shown.
"""

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
LAST = 60.0
"""Seconds that a round may go on when its file's time is up, so that what it is on to can be told."""


def main(minutes: float) -> int:
    """Fuzz; how many rounds found something."""
    tests = sorted(HERE.glob("test_*.py"))
    found = 0
    for test in tests:
        until, rounds = time.monotonic() + minutes * 60 / len(tests), 0
        while time.monotonic() < until and found < 10:
            rounds += 1
            found += not _round(test, secrets.randbelow(2**32), until - time.monotonic() + LAST)
        print(f"{test.stem}: {rounds} rounds", flush=True)
    print("Nothing was found." if not found else f"{found} rounds found something: see above.")
    return found


def _round(test: Path, seed: int, seconds: float) -> bool:
    """One run of a file, ended when its time is up; whether it found nothing."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "--show-capture=no", "-p", "no:cacheprovider"]
    command += [f"--hypothesis-seed={seed}", os.path.relpath(test)]
    told = f"HYPOTHESIS_PROFILE=long {' '.join(command[1:])}"
    environment = os.environ | {"HYPOTHESIS_PROFILE": "long"}
    try:
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return True
    if ended.returncode:
        print(f"{ended.stdout}\nAgain: {told}", flush=True)
    return not ended.returncode


if __name__ == "__main__":
    sys.exit(bool(main(float(sys.argv[1]))))
