"""Speed of the engine, side by side: `python tests/benchmarks/engine.py [A … F wide kinds]`.

Not a test: it prints the table of docs/performance.md.  v = e₁ and W₀ = σ default_rng(0)
.standard_normal((n, d)); every method runs to t = 1e12 (F: 1e8) in this one process, on one thread.
Errors are the largest relative error of the loss over the run, against our own run at rtol 1e-12.
The textbook field is the formula of MATH's ∂L/∂w_i with arccos(clip(…)), in NumPy.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from statistics import median

import numpy as np
from threadpoolctl import threadpool_limits

import flowkit
from flowkit.flows.coordinates import encode, initial_system, later, loss, size, slopes, workspace
from flowkit.flows.pair_march import fitted
from flowkit.flows.pair_setting import PairSetting

CASES = {
    "A": ("toy (0.3, ±0.2)", np.array([[0.3, 0.2], [0.3, -0.2]]), 1e12),
    "B": ("n = 2, d = 3, σ = 0.1", (2, 3, 0.1), 1e12),
    "C": ("n = 10, d = 10, σ = 0.01", (10, 10, 0.01), 1e12),
    "D": ("n = 50, d = 20, σ = 0.01", (50, 20, 0.01), 1e12),
    "E": ("n = 200, d = 50, σ = 1e-3", (200, 50, 1e-3), 1e12),
    "F": ("n = 1000, d = 50, σ = 1e-4", (1000, 50, 1e-4), 1e8),
}
OURS_UP_TO = {"structured": "F", "LSODA": "C", "BDF": "C", "Radau": "C"}
PATIENCE = 90.0


def start(case: str) -> tuple[np.ndarray, float]:
    """Students at t = 0 and the end of the run."""
    _, shape, t_max = CASES[case]
    if isinstance(shape, tuple):
        n, d, sigma = shape
        return sigma * np.random.default_rng(0).standard_normal((n, d)), t_max
    return shape, t_max


def timed(call, repeat):
    """Median seconds of several calls, and the last result."""
    seconds = []
    for _ in range(repeat):
        began = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - began)
        if seconds[-1] > 2:
            break
    return median(seconds), result


def textbook(W0: np.ndarray, t_max: float, method: str) -> tuple[float, float, str]:
    """Seconds, time reached and remark of SciPy's method on the textbook field, rtol 1e-8."""
    from scipy import integrate

    n, d = W0.shape
    v = np.eye(d)[0]

    def field(_, flat):
        W = flat.reshape(n, d)
        norms = np.linalg.norm(W, axis=1)
        units = W / norms[:, None]
        pairs = np.arccos(np.clip(units @ units.T, -1, 1))
        to_v = np.arccos(np.clip(units @ v, -1, 1))
        own = np.sin(pairs) @ norms - np.sin(to_v)
        rest = own[:, None] * units - pairs @ W + to_v[:, None] * v
        return -(0.5 * (W.sum(axis=0) - v) + rest / (2 * np.pi)).ravel()

    began = time.perf_counter()
    solver = getattr(integrate, method)(field, 0.0, W0.ravel(), t_max, rtol=1e-8, atol=1e-12)
    remark = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while solver.status == "running":
            message = solver.step()
            if time.perf_counter() - began > PATIENCE:
                remark = f"at t = {solver.t:.1e} after {PATIENCE:.0f} s"
                break
        if solver.status == "failed":
            remark = f"stuck at t = {solver.t:.1e}: {message}"
    return time.perf_counter() - began, solver.t, remark


def cvode(W0: np.ndarray, t_max: float, reference: flowkit.Flow) -> tuple[float, float] | None:
    """Seconds and error of CVODE's BDF with GMRES on our coordinates in ln S."""
    try:
        from sksundae.cvode import CVODE
    except ImportError:
        return None
    v = np.eye(W0.shape[1])[:1]
    setting = PairSetting.of(flowkit.TeacherStudent(v), W0, t_max, 1e-8, "structured")
    sizes = np.ones(len(setting.w))
    whole = initial_system(setting.frame.teachers, sizes, (0.5, 1.0))
    system, r = fitted(whole, 0.0, setting.r, setting.w)
    y0 = np.empty(size(system))
    encode(system, 0.0, r, setting.w, y0)
    work = workspace(system)

    def right(x, y, yp):
        slopes(system, later(system, 0.0, x), np.ascontiguousarray(y), work, yp)

    end = float(np.log1p(t_max / system.tau))
    grid = np.linspace(0, end, 60)
    solver = CVODE(
        right,
        rtol=1e-8,
        atol=1e-11,
        linsolver="gmres",
        krylov_dim=20,
        max_num_steps=100_000,
        first_step=1e-6,
    )
    seconds, solution = timed(lambda: solver.solve(grid, y0), 3)
    worst, out = 0.0, np.empty(len(y0))
    for x, y in zip(solution.t, solution.y, strict=True):
        t = min(later(system, 0.0, x), t_max)
        slopes(system, t, np.ascontiguousarray(y), work, out)
        value = loss(system, work) * setting.unit**2
        worst = max(worst, abs(value / reference.loss_at(t) - 1))
    return seconds, worst


def run(case: str, repeat: int) -> None:
    """The rows of one case."""
    title, _, _ = CASES[case]
    W0, t_max = start(case)
    problem = flowkit.TeacherStudent(np.eye(W0.shape[1])[0])
    print(f"\n{case}: {title}, to t = {t_max:.0e}")
    finest = 1e-12 if case != "F" else 1e-9
    reference = flowkit.integrate(problem, W0, t_max, rtol=finest, progress=False)
    rows = []
    for method, last in OURS_UP_TO.items():
        if case > last:
            continue
        for rtol in (1e-6, 1e-7, 1e-8, 1e-10) if method == "structured" and case < "F" else (1e-7,):
            seconds, flow = timed(
                lambda m=method, r=rtol: flowkit.integrate(
                    problem, W0, t_max, rtol=r, method=m, progress=False
                ),
                repeat,
            )
            error = np.abs(flow.loss / reference.loss_at(flow.t) - 1).max()
            rows.append((f"{method}, rtol {rtol:.0e}", seconds, f"{error:.0e}", flow.status))
    if case < "F" and (found := cvode(W0, t_max, reference)) is not None:
        rows.append(("CVODE BDF + GMRES", found[0], f"{found[1]:.0e}", "our coordinates"))
    base = None
    for method in ("Radau", "BDF", "LSODA") if case <= "C" else ("Radau",):
        if case == "F":
            break
        seconds, reached, remark = textbook(W0, t_max, method)
        base = base or (seconds if reached >= t_max else None)
        rows.append((f"textbook field, {method}", seconds, "wrong", remark or "beyond 1e5"))
    for name, seconds, error, remark in rows:
        ratio = f"{base / seconds:>8.0f} ×" if base else " " * 10
        print(f"  {name:<26}{1e3 * seconds:>11.2f} ms {ratio}  {error:>6}  {remark}", flush=True)
    if case == "F":
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"  largest memory of this process: {peak:.2f} GiB")


def wide(repeat: int) -> None:
    """d = 10⁶ against d = 5, the QR apart."""
    small = 0.1 * np.random.default_rng(0).standard_normal((4, 5))
    large = np.zeros((4, 10**6))
    large[:, :5] = small
    results = []
    for W in (small, large):
        problem = flowkit.TeacherStudent(np.eye(1, W.shape[1])[0])
        whole, flow = timed(
            lambda p=problem, W=W: flowkit.integrate(p, W, 1e12, progress=False), repeat
        )
        setting, _ = timed(
            lambda p=problem, W=W: PairSetting.of(p, W, 1e12, 1e-10, "structured"), repeat
        )
        steps, _ = timed(lambda s=flow.setting: s.march(s.path(1e-10)), repeat)
        results.append((whole, setting, steps))
    print("\nn = 4, σ = 0.1: whole call, reduction to the span, run")
    for name, row in zip(("d = 5", "d = 1e6"), results, strict=True):
        print(f"  {name:<8}" + "".join(f"{1e3 * x:>10.2f} ms" for x in row))
    print(f"  run, ratio: {results[1][2] / results[0][2]:.2f}")


def kinds(repeat: int) -> None:
    """Several teachers and quadratic activation, rtol 1e-10, against rtol 1e-12."""
    rng = np.random.default_rng(0)
    e, samples = np.eye(10), rng.standard_normal((200, 10))
    small = 0.01 / np.sqrt(10) * rng.standard_normal((10, 10))
    quadratic, empirical = flowkit.PhaseRetrieval(e[0]), flowkit.PhaseRetrieval(e[0], 1, samples)
    cases = {
        "2 teachers, n = 4, d = 3": (flowkit.TeacherStudent(np.eye(2, 3)), 4, 3, 1e12),
        "3 teachers, n = 6, d = 3": (flowkit.TeacherStudent(np.eye(3)), 6, 3, 1e12),
        "5 teachers, n = 5, d = 5": (flowkit.TeacherStudent(np.eye(5)), None, 5, 1e4),
        "quadratic, K = 1, d = 10": (quadratic, small[:1], 10, 1e2),
        "quadratic, K = 3, d = 10": (quadratic, small[:3], 10, 1e12),
        "quadratic, K = 10, d = 10": (quadratic, small, 10, 1e12),
        "the same, 200 samples": (empirical, small, 10, 1e12),
    }
    print("\nseveral teachers, quadratic activation, rtol 1e-10")
    for name, (problem, start_, d, t_max) in cases.items():
        if start_ is None:
            W0 = np.eye(d) + 0.1 * rng.standard_normal((d, d))
        else:
            W0 = 0.1 * rng.standard_normal((start_, d)) if isinstance(start_, int) else start_
        seconds, flow = timed(
            lambda p=problem, W=W0, t=t_max: flowkit.integrate(p, W, t, progress=False), repeat
        )
        finer = flowkit.integrate(problem, W0, t_max, rtol=1e-12, progress=False)
        logs = np.log(finer.loss_at(flow.t[flow.loss > 0]))
        error = np.abs(np.expm1(flow.log_loss[flow.loss > 0] - logs)).max()
        steps = flow.stats["steps"]
        print(f"  {name:<26}{seconds:>8.2f} s  {steps:>5} steps  error {error:.0e}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=[*CASES, "wide", "kinds"])
    parser.add_argument("--repeat", type=int, default=7)
    chosen = parser.parse_args()
    with threadpool_limits(1):
        for case in chosen.cases:
            if case in ("wide", "kinds"):
                {"wide": wide, "kinds": kinds}[case](chosen.repeat)
            else:
                run(case, chosen.repeat)


if __name__ == "__main__":
    main()
