"""The fuzzers for as long as one likes: `make fuzz MINUTES=60`. Each file has its share of the time, in rounds.

Each round has a seed of its own, which is told, so that what was found can be found again by the command shown.
"""

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
LAST = 30.0
"""Seconds that a round may go on when its file's time is up, so that what it is on to can be told."""
ENOUGH = 10
"""Rounds that found something, of one file: the next would find it again."""


def main(minutes: float) -> int:
    """Fuzz; how many rounds found something. What one file takes too long, those after it have less."""
    tests, until = sorted(HERE.glob("test_*.py")), time.monotonic() + minutes * 60
    failures = tried = 0
    for number, test in enumerate(tests):
        now = time.monotonic()
        examples, failed, rounds = _fuzzed(test, now + max(0.0, until - now) / (len(tests) - number))
        print(f"{test.stem}: {rounds} rounds, {examples:,} examples, {failed} found something", flush=True)
        failures, tried = failures + failed, tried + examples
    print(
        f"{tried:,} examples: "
        + (f"{failures} rounds found something, see above." if failures else "nothing was found.")
    )
    return failures


def _fuzzed(test: Path, until: float) -> tuple[int, int, int]:
    """Rounds of one file until its time is up, one at least: examples, rounds that found something, rounds."""
    examples = failed = rounds = 0
    while rounds == 0 or (time.monotonic() < until and failed < ENOUGH):
        rounds += 1
        tried, is_sound = _round(test, secrets.randbelow(2**32), max(0.0, until - time.monotonic()) + LAST)
        examples, failed = examples + tried, failed + (not is_sound)
    return examples, failed, rounds


def _round(test: Path, seed: int, seconds: float) -> tuple[int, bool]:
    """One run of a file, ended when its time is up: how many examples it tried, and whether it found nothing."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "--show-capture=no", "-p", "no:cacheprovider"]
    command += [f"--hypothesis-seed={seed}", os.path.relpath(test)]
    environment = os.environ | {"HYPOTHESIS_PROFILE": "long"}
    run = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        output, _ = run.communicate(timeout=seconds)
        is_sound = run.returncode == 0
    except subprocess.TimeoutExpired:
        output, is_sound = _ended(run), True
    if not is_sound:
        print(f"{output}\nAgain: HYPOTHESIS_PROFILE=long {' '.join(command[1:])}", flush=True)
    tally = re.search(r"^(\d+) examples$", output, re.MULTILINE)
    return int(tally[1]) if tally else 0, is_sound


def _ended(run: subprocess.Popen[str]) -> str:
    """Interrupt a round, as Ctrl-C would; what it had to say."""
    run.send_signal(signal.SIGINT)
    try:
        return run.communicate(timeout=LAST)[0]
    except subprocess.TimeoutExpired:
        run.kill()
        return run.communicate()[0]


if __name__ == "__main__":
    sys.exit(bool(main(float(sys.argv[1]))))
