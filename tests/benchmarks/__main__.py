"""Time what users wait for: `python -m tests.benchmarks [CASE ...]`, each figure beside a yardstick of the same run."""

from __future__ import annotations

import argparse
import sys

from tests.benchmarks import (
    breakdowns,
    daily,
    events,
    everything,
    fill,
    latency,
    month,
    pages,
    share,
    unsaid_ci,
    workers,
)

CASES = {
    "breakdowns": breakdowns.run,
    "daily": daily.run,
    "events": events.run,
    "everything": everything.run,
    "fill": fill.run,
    "latency": latency.run,
    "month": month.run,
    "pages": pages.run,
    "share": share.run,
    "unsaid_ci": unsaid_ci.run,
    "workers": workers.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"by default all: {', '.join(CASES)}")
    chosen = parser.parse_args().cases or list(CASES)
    if unknown := set(chosen) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}. There are {', '.join(CASES)}")
    for name in chosen:
        print(f"\n{name}: {sys.modules[CASES[name].__module__].__doc__}")
        for line in CASES[name]():
            print(f"  {line}")


if __name__ == "__main__":
    main()
