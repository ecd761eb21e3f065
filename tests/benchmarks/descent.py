"""Gradient descent: `python tests/benchmarks/descent.py [speed accuracy flow toy threshold]`.

Not a test: it prints the figures of docs/performance.md.  Needs tests/data/reference_descents.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import flowkit

DATA = Path(__file__).parents[1] / "data" / "reference_descents.json"


def start(n: int, d: int, sigma: float, seed: int = 0) -> np.ndarray:
    return sigma * np.random.default_rng(seed).standard_normal((n, d))


def teacher(d: int) -> np.ndarray:
    return np.eye(d)[0]


def speed(steps: int) -> None:
    """Seconds of `steps` iterations, and time of one, best of three short runs."""
    print(f"\n{'students':<22}{'one iteration':>14}{f'{steps:.0e}':>10}")
    for n, d, sigma in ((2, 2, 0.1), (4, 6, 0.01), (4, 6, 0.1), (8, 10, 1.0), (50, 20, 0.01)):
        problem, w0 = flowkit.TeacherStudent(teacher(d)), start(n, d, sigma)
        some = 20_000 if n < 20 else 1000
        flowkit.descend(problem, w0, 0.01 / n, 1)
        seconds = []
        for _ in range(3):
            began = time.perf_counter()
            flowkit.descend(problem, w0, 0.01, some, iterations=[some])
            seconds.append((time.perf_counter() - began) / some)
        whole = ""
        if n == 4:
            began = time.perf_counter()
            flowkit.descend(problem, w0, 0.01, steps)
            whole = f"{time.perf_counter() - began:.1f} s"
        name = f"n = {n}, d = {d}, σ = {sigma:g}"
        print(f"{name:<22}{1e6 * min(seconds):>11.2f} µs{whole:>10}", flush=True)


def accuracy(steps: int) -> None:
    """Against the stored references, textbook formulas in 34 digits."""
    print(f"\n{'case':<12}{'iterations':>11}{'loss':>10}{'error':>9}{'estimated':>11}")
    for name, case in json.loads(DATA.read_text(encoding="utf-8")).items():
        w0 = np.array(case["w0"])
        activation = flowkit.LeakyReLU(case["alpha"]) if case["alpha"] else "relu"
        problem = flowkit.TeacherStudent(teacher(w0.shape[1]), activation)
        at = [k for k in case["iteration"] if k <= steps]
        truth = np.array([float(x) for x in case["loss"][: len(at)]])
        run = flowkit.descend(problem, w0, case["step_size"], at[-1], iterations=at)
        error, estimated = np.abs(run.loss / truth - 1).max(), run.loss_error.max()
        last = f"{at[-1]:>11}{run.loss[-1]:>10.1e}"
        print(f"{name:<12}{last}{error:>9.0e}{estimated:>11.0e}", flush=True)


def flow(steps: int) -> None:
    """Relative distance of the losses of descent and flow at one time, and its order in η."""
    toy = np.array([[0.3, 0.2], [0.3, -0.2]])
    for name, w0 in (("toy 1", toy), ("n = 3, d = 4, σ = 0.1", start(3, 4, 0.1))):
        problem = flowkit.TeacherStudent(teacher(w0.shape[1]))
        exact = flowkit.integrate(problem, w0, 50.0, rtol=1e-12).loss_at(50.0)
        etas = 0.1 / 2.0 ** np.arange(8)
        runs = [flowkit.descend(problem, w0, eta, round(50 / eta)).loss[-1] for eta in etas]
        gaps = np.abs(np.array(runs) / exact - 1)
        slopes = np.log2(gaps[:-1] / gaps[1:])
        print(f"\n{name}: |L/L(flow) − 1| at t = 50, and its order in η")
        for eta, gap, slope in zip(etas, gaps, [np.nan, *slopes], strict=True):
            print(f"  η = {eta:<10.4g}{gap:>10.2e}{slope:>8.4f}")


def toy(steps: int) -> None:
    """(ηk)³ L of toy case 1 against π²/6, and the coefficient of ln t/t."""
    problem = flowkit.TeacherStudent([1.0, 0.0])
    w0 = [[0.3, 0.2], [0.3, -0.2]]
    limit = np.pi**2 / 6
    for eta in (0.01, 0.1, 0.5, 0.9):
        run = flowkit.descend(problem, w0, eta, steps, iterations=[10**k for k in range(3, 8)])
        gap = (run.t**3 * run.loss / limit - 1) * run.t
        slopes = np.diff(gap) / np.diff(np.log(run.t))
        print(f"\nη = {eta}: ((ηk)³ L/(π²/6) − 1) t, and its derivative in ln t")
        for t, value, slope in zip(run.t, gap, [np.nan, *slopes], strict=True):
            print(f"  t = {t:<10.3g}{value:>12.5f}{slope:>12.5f}")


def ends(problem: flowkit.TeacherStudent, w0: np.ndarray, eta: float, steps: int) -> str:
    """What a long run does in the end: converges (with how many students), diverges, cycles."""
    last = range(steps - 64, steps + 1)
    run = flowkit.descend(problem, w0, eta, steps, iterations=[0, steps // 2, *last])
    if run.status != "finished":
        return run.status
    if run.loss[-1] < 0.25 * run.loss[1] or run.loss[-1] < 1e-25:
        return f"converges with {(np.linalg.norm(run.w[-1], axis=1) > 1e-4).sum()}"
    tail, final = run.w[2:], run.w[-1]
    gaps = np.abs(tail[::-1] - final).max(axis=(1, 2))
    periods = np.flatnonzero(gaps[1:] < 1e-9) + 1
    found = f"cycle of {periods[0]}" if periods.size else "no cycle up to 64"
    return f"{found}, L = {run.loss[-1]:.2g}"


def threshold(steps: int) -> None:
    """The largest η with which all students converge, by bisection; what happens beyond."""
    for n in (1, 2, 3, 4, 8):
        problem = flowkit.TeacherStudent(teacher(3))
        near = teacher(3) / n + start(n, 3, 0.02 / n)
        low, high = 0.5 * 4 / n, 1.5 * 4 / n
        while high - low > 1e-4 * high:
            middle = 0.5 * (low + high)
            good = ends(problem, near, middle, steps) == f"converges with {n}"
            low, high = (middle, high) if good else (low, middle)
        print(f"\nn = {n}: 4/n = {4 / n:.4f}, found {low:.4f}", flush=True)
        for factor in (1.01, 1.1, 1.2, 1.3, 1.5, 2.0):
            eta = factor * 4 / n
            small = ends(problem, start(n, 3, 0.01), eta, steps)
            print(
                f"  η = {factor:g} · 4/n: {ends(problem, near, eta, steps)}; from σ = 0.01: {small}"
            )
        small = [ends(problem, start(n, 3, 0.01), f * 4 / n, steps) for f in (0.3, 0.6, 0.9, 0.99)]
        print(f"  from σ = 0.01 at 0.3, 0.6, 0.9, 0.99 · 4/n: {'; '.join(small)}", flush=True)


PARTS = {
    "speed": (speed, 10**7),
    "accuracy": (accuracy, 10**7),
    "flow": (flow, 0),
    "toy": (toy, 10**7),
    "threshold": (threshold, 10**5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=list(PARTS))
    parser.add_argument("--steps", type=float, help="iterations, by default 1e7 or 1e5")
    chosen = parser.parse_args()
    for name in chosen.parts:
        part, steps = PARTS[name]
        part(int(chosen.steps or steps))


if __name__ == "__main__":
    main()
