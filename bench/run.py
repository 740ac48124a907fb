#!/usr/bin/env python3
"""Measure how fast it is, against yardsticks taken in the same run, in turn.

Timings of one machine at one time say little; their ratios say more. Everything is run
alternately and the median counts. `bench/run.py [cold|again|many|deploy|web]`: all without a word.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench import again, cold, deploy, host, many, web  # noqa: E402 - they lie beside

MEASURES = {
    "cold": cold.measure,
    "again": again.measure,
    "deploy": deploy.measure,
    "web": web.measure,
    "many": many.measure,
}


def main() -> int:
    """Run the wanted measurements; 1 when an aim is not reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=list(MEASURES))
    what = parser.parse_args().what
    wanted = [what] if what else list(MEASURES)
    try:
        kept = [MEASURES[name]() for name in wanted]
    finally:
        host.gone()
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
