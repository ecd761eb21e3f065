"""Random initialisations to the end: how each run ends, what happens in it, which is slowest.

python tests/benchmarks/initialisations.py [--seeds 6] [--t-max 1e12 1e40]
"""

import argparse
import time
from collections import Counter
from typing import NamedTuple

import numpy as np

from flowkit import TeacherStudent, integrate

NEURONS = (2, 3, 4, 8, 16)
SIGMAS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
LONGEST = 30.0  # seconds, after which a run is given up
SLOWEST = 5


class Outcome(NamedTuple):
    """One run."""

    seconds: float
    steps: int
    n: int
    sigma: float
    seed: int
    status: str
    message: str
    events: tuple


def outcome(n, sigma, seed, t_max):
    """The run of v = e₁, W(0) = σ default_rng(seed).standard_normal((n, n + 2))."""
    w0 = sigma * np.random.default_rng(seed).standard_normal((n, n + 2))
    began = time.perf_counter()
    flow = integrate(
        TeacherStudent(np.eye(n + 2)[0]), w0, t_max, max_seconds=LONGEST, progress=False
    )
    seconds = time.perf_counter() - began
    events = tuple(event.kind for event in flow.events)
    return Outcome(seconds, flow.stats["steps"], n, sigma, seed, flow.status, flow.message, events)


def outcomes(t_max, seeds):
    """All of them, the slowest first; the first call compiles and is not timed."""
    outcome(2, 0.1, 0, 1.0)
    runs = [outcome(n, s, seed, t_max) for n in NEURONS for s in SIGMAS for seed in range(seeds)]
    return sorted(runs, reverse=True)


def show(t_max, runs):
    print(f"t_max = {t_max:g}: {len(runs)} runs, {sum(run.seconds for run in runs):.1f} s")
    print("  status:", dict(Counter(run.status for run in runs)))
    print("  events:", dict(Counter(kind for run in runs for kind in run.events)))
    for run in runs[:SLOWEST]:
        where = f"n = {run.n}, σ = {run.sigma:g}, seed {run.seed}"
        print(f"  {run.seconds:.2f} s, {run.steps} steps: {where}, {len(run.events)} events")
    for run in runs:
        if run.status != "finished":
            print(f"  {run.status}: n = {run.n}, σ = {run.sigma:g}, seed {run.seed}: {run.message}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--t-max", type=float, nargs="+", default=[1e12, 1e40])
    chosen = parser.parse_args()
    for end in chosen.t_max:
        show(end, outcomes(end, chosen.seeds))
