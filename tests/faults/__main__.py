"""Break everything, for as long as it takes: `python -m tests.faults [PART[=TIMES] ...] [--seed N]`.

Each part prints its seed and what it tried, and ends with an error at the first thing that is not as it should be. The
quick parts run with every test run.
"""

from __future__ import annotations

import argparse
import sys
import time
from random import SystemRandom

from tests.faults import attack, crash, fuzz, oracle, runs, secrets, year

PARTS = {
    "crash": (crash.run, 250),
    "runs": (runs.run, 50),
    "year": (year.run, 365),
    "oracle": (oracle.run, 200),
    "fuzz": (fuzz.run, 200_000),
    "attack": (attack.run, 2000),
    "secrets": (secrets.run, 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART[=TIMES]", help=f"by default all: {', '.join(PARTS)}")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    given = parser.parse_args()
    for part in given.parts or PARTS:
        name, _, times = part.partition("=")
        if name not in PARTS:
            parser.error(f"no part {name}. There are {', '.join(PARTS)}")
        run, usual = PARTS[name]
        began = time.monotonic()
        print(f"{name}={times or usual} --seed {given.seed}: {sys.modules[run.__module__].__doc__}", flush=True)
        for line in run(int(times or usual), given.seed):
            print(f"  {line}", flush=True)
        print(f"  {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
