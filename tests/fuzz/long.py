"""Run the fuzzers for a given time: `make fuzz MINUTES=60`. Each file has an equal share of the time, in rounds. Each
round has its own seed, which is printed with the command that repeats it.
"""

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parent
GRACE_SECONDS = 30.0
"""Seconds that a round may continue after its file's time is up, to report a failure that it is examining."""
MAX_FAILED_ROUNDS = 10
"""The number of failed rounds after which a file is not continued: the next would probably fail in the same way."""


def main(minutes: float) -> int:
    """Run all files; returns the number of failed rounds. Files after one that takes too long have less time."""
    files, deadline = sorted(FOLDER.glob("test_*.py")), time.monotonic() + minutes * 60
    failures = total = 0
    for number, test in enumerate(files):
        now = time.monotonic()
        examples, failed, rounds = _fuzz(test, now + max(0.0, deadline - now) / (len(files) - number))
        print(f"{test.stem}: {rounds} rounds, {examples:,} examples, {failed} found something", flush=True)
        failures, total = failures + failed, total + examples
    print(
        f"{total:,} examples: "
        + (f"{failures} rounds found something, see above." if failures else "nothing was found.")
    )
    return failures


def _fuzz(test: Path, deadline: float) -> tuple[int, int, int]:
    """Run rounds of one file until its time is up, at least one; returns the numbers of examples, failed rounds, and
    rounds.
    """
    examples = failed = rounds = 0
    while rounds == 0 or (time.monotonic() < deadline and failed < MAX_FAILED_ROUNDS):
        rounds += 1
        examples_in_round, passed = _run_round(
            test, secrets.randbelow(2**32), max(0.0, deadline - time.monotonic()) + GRACE_SECONDS
        )
        examples, failed = examples + examples_in_round, failed + (not passed)
    return examples, failed, rounds


def _run_round(test: Path, seed: int, seconds: float) -> tuple[int, bool]:
    """Run a file once, and end it when its time is up; returns the number of examples, and whether all passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "--show-capture=no", "-p", "no:cacheprovider"]
    command += [f"--hypothesis-seed={seed}", os.path.relpath(test)]
    environment = os.environ | {"HYPOTHESIS_PROFILE": "long"}
    run = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        output, _ = run.communicate(timeout=seconds)
        passed = run.returncode == 0
    except subprocess.TimeoutExpired:
        output, passed = _interrupt(run), True
    if not passed:
        print(f"{output}\nTo repeat it: HYPOTHESIS_PROFILE=long {' '.join(command[1:])}", flush=True)
    tally = re.search(r"^(\d+) examples$", output, re.MULTILINE)
    return int(tally[1]) if tally else 0, passed


def _interrupt(run: subprocess.Popen[str]) -> str:
    """Interrupt a round, as Ctrl-C does; returns its output."""
    run.send_signal(signal.SIGINT)
    try:
        return run.communicate(timeout=GRACE_SECONDS)[0]
    except subprocess.TimeoutExpired:
        run.kill()
        return run.communicate()[0]


if __name__ == "__main__":
    sys.exit(bool(main(float(sys.argv[1]))))
