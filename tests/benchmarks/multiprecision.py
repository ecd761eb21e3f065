"""What many digits cost: the figures of docs/precision.md.

    python tests/benchmarks/multiprecision.py [flows] [ivp] [odefun] [arithmetic] [diagram]

Without a name: all but the diagram, which is written to docs/work-precision.svg.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from pathlib import Path

import flint
import mpmath
import numpy as np
import sympy as sp
from scipy.integrate import solve_ivp

import flowkit

DATA = Path(__file__).parents[1] / "data"
FLOWS = json.loads((DATA / "reference_flows.json").read_text())
IVP = json.loads((DATA / "reference_ivp.json").read_text())
MP = mpmath.MPContext()
MP.dps = 90
PATIENCE = 60.0


def timed(call):
    """Seconds and result."""
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


def digits(value, truth):
    """Decimal digits on which a number and the truth agree."""
    gap = abs(MP.convert(value) / MP.mpf(truth) - 1)
    return 90.0 if gap == 0 else float(-MP.log10(gap))


def flows():
    """Toy case 1 and random starts at 50 digits, run and check."""
    print(f"{'flow':12} {'t_max':>6} {'s':>6} {'digits of L':>11} {'certified':>9} {'steps':>6}")
    for last in (12, 40):
        for name in ("toy-1", "random-n2", "random-n3", "random-n4"):
            case = FLOWS[name]
            times = [int(t) for t in case["t"] if int(t) <= 10**last]
            problem = flowkit.TeacherStudent(case["teacher"])

            def run(problem=problem, w0=case["w0"], times=times):
                flow = flowkit.integrate(problem, w0, times[-1], precision=50, t_eval=times)
                return flow, flow.loss, flow.loss_digits

            seconds, (flow, loss, known) = timed(run)
            right = min(digits(a, b) for a, b in zip(loss, case["loss"], strict=False))
            steps = flow.stats["steps"]
            print(f"{name:12} 1e{last:<4} {seconds:6.1f} {right:11.1f} {known.min():9} {steps:6}")


def equation(case):
    """The formulas of a case, every decimal exact."""
    symbols = sp.symbols(f"y1:{len(case['y0']) + 1}")
    names = {str(y): y for y in symbols} | {"mu": sp.Rational("0.012277471")}
    sides = [text.partition("=")[2] for text in case["equations"]]
    return flowkit.VectorField([sp.sympify(s, names, rational=True) for s in sides], symbols)


def ivp():
    """The test set at 32 digits."""
    print(f"{'problem':38} {'s':>6} {'digits of each component'}")
    for name, case in IVP.items():
        problem = equation(case)
        seconds, flow = timed(
            lambda p=problem, c=case: flowkit.integrate(p, c["y0"], c["t_end"], precision=32)
        )
        right = [f"{digits(a, b):.0f}" for a, b in zip(flow.y[-1], case["y_end"], strict=True)]
        print(f"{name[:38]:38} {seconds:6.1f} {' '.join(right)}  {flow.status}")


def odefun():
    """The Arenstorf orbit at 30 digits, against mpmath's Taylor series."""
    case = next(case for name, case in IVP.items() if name.startswith("arenstorf"))
    problem = equation(case)
    seconds, flow = timed(
        lambda: flowkit.integrate(problem, case["y0"], case["t_end"], precision=30)
    )
    one, _ = timed(
        lambda: flowkit.integrate(problem, case["y0"], case["t_end"], precision=30, certify=False)
    )
    size = [MP.mpf(x) for x in case["y_end"]]

    def error(y):
        return max(abs(MP.convert(a) - b) for a, b in zip(y, size, strict=True))

    with mpmath.workdps(30):
        symbols = sp.symbols("y1:5")
        field = sp.lambdify(symbols, list(problem.expressions().field), "mpmath")
        y0 = [mpmath.mpf(x) for x in case["y0"]]

        def taylor():
            return mpmath.odefun(lambda t, y: field(*y), 0, y0)(mpmath.mpf(case["t_end"]))

        theirs, end = timed(taylor)
    print(f"flowkit, run and check  {seconds:7.2f} s   error {float(error(flow.y[-1])):.1e}")
    print(f"flowkit, one run        {one:7.2f} s")
    print(f"mpmath.odefun           {theirs:7.2f} s   error {float(error(end)):.1e}")
    print(f"ratio {theirs / seconds:.0f} x with the check, {theirs / one:.0f} x without")


def arithmetic():
    """One velocity of four students at 60 digits: balls against mpmath numbers."""
    from flowkit.multiprecision.prepare import prepared
    from symbolic.lower import lower

    problem = flowkit.TeacherStudent([1.0, 0.0, 0.0])
    W = np.random.default_rng(0).standard_normal((3, 3))
    source = problem.expressions(3)
    context = mpmath.MPContext()
    context.dps = 60
    arguments = [*source.students, *source.teachers]
    numbers = [context.mpf(x) / 3 for x in [*W.ravel(), 1, 0, 0]]
    slow = lower(list(source.gradient), arguments, "mpmath", context)
    fast = lower(list(source.gradient), arguments, "arb")

    def median(call, times=20):
        return float(np.median([timed(call)[0] for _ in range(times)]))

    with flint.ctx.workprec(200):
        balls = [flint.arb(x) / 3 for x in [*W.ravel(), 1, 0, 0]]
        system = prepared(problem, W, 200).system
        state = balls[:9]
        b, own = median(lambda: fast(*balls)), median(lambda: system.field(0, state))
    a = median(lambda: slow(*numbers))
    print(
        f"mpmath ({mpmath.libmp.BACKEND}) {a * 1e3:.2f} ms; the same expression in balls ", end=""
    )
    print(f"{b * 1e3:.2f} ms, {a / b:.1f} x; by pairs {own * 1e3:.2f} ms, {a / own:.1f} x")


def taylor_takes(field, symbols, y0, end):
    """Seconds that mpmath.odefun needs at 30 digits, or None if it is not there in time."""

    def run():
        with mpmath.workdps(30):
            right = sp.lambdify(symbols, field, "mpmath")
            start = [mpmath.mpf(x) for x in y0]
            mpmath.odefun(lambda t, y: right(*y), 0, start)(mpmath.mpf(end))

    began = time.perf_counter()
    worker = multiprocessing.get_context("fork").Process(target=run, daemon=True)
    worker.start()
    worker.join(PATIENCE)
    arrived = not worker.is_alive()
    worker.kill()
    return time.perf_counter() - began if arrived else None


def hires_lines():
    """Digits against seconds for HIRES; the truth beyond the stored 42 digits is a run at 130."""
    case = IVP["hires-321.8122"]
    problem = equation(case)
    symbols = problem.variables
    end = float(sp.Rational(case["t_end"]))
    field = sp.lambdify(symbols, list(problem.expressions().field))
    matrix = sp.lambdify(symbols, problem.expressions().jacobian)
    y0 = [float(x) for x in case["y0"]]
    finest = flowkit.integrate(problem, case["y0"], case["t_end"], precision=130, certify=False)
    truth = [MP.convert(x) for x in finest.y[-1]]
    assert all(digits(a, b) > 41 for a, b in zip(truth, case["y_end"], strict=True))

    def right(y):
        return min(digits(a, b) for a, b in zip(y, truth, strict=True))

    lines = {}
    for method in ("Radau", "BDF", "LSODA"):
        points = []
        for k in range(3, 14):
            seconds, result = timed(
                lambda m=method, r=10.0**-k: solve_ivp(
                    lambda t, y: field(*y),
                    (0, end),
                    y0,
                    m,
                    rtol=max(r, 3e-14),
                    atol=r * 1e-4,
                    jac=lambda t, y: matrix(*y),
                )
            )
            points.append((seconds, right([float(x) for x in result.y[:, -1]])))
        lines[f"SciPy {method}"] = points
    for certify, label in ((False, "flowkit, one run"), (True, "flowkit, certified")):
        points = []
        for precision in (15, 20, 30, 40, 50, 70, 100):
            seconds, flow = timed(
                lambda p=precision, c=certify: flowkit.integrate(
                    problem, case["y0"], case["t_end"], precision=p, certify=c
                )
            )
            points.append((seconds, right(flow.y[-1])))
        lines[label] = points
    taylor = taylor_takes(list(problem.expressions().field), symbols, case["y0"], case["t_end"])
    return lines, taylor


def flow_lines():
    """Digits of the loss against seconds for toy case 1 to t = 1e6."""
    case = FLOWS["toy-1"]
    index = case["t"].index("1000000")
    problem, truth = flowkit.TeacherStudent(case["teacher"]), case["loss"][index]
    w0 = np.array(case["w0"])
    sys.path.insert(0, str(DATA.parent))
    from conftest import textbook_field

    field = textbook_field(case["teacher"])
    lines = {}
    for method in ("Radau", "BDF", "LSODA"):
        points = []
        for k in range(3, 13):
            seconds, result = timed(
                lambda m=method, r=10.0**-k: solve_ivp(
                    lambda t, y: field(y.reshape(w0.shape)).ravel(),
                    (0, 1e6),
                    w0.ravel(),
                    m,
                    rtol=max(r, 3e-14),
                    atol=r * 1e-2,
                )
            )
            loss = problem.loss(result.y[:, -1].reshape(w0.shape))
            points.append((seconds, max(0.0, digits(loss, truth))))
        lines[f"SciPy {method}, textbook field"] = points
    flowkit.integrate(problem, w0, 10.0)
    flowkit.integrate(problem, w0, 10, precision=15)
    points = []
    for k in range(4, 14):
        seconds, flow = timed(lambda r=10.0**-k: flowkit.integrate(problem, w0, 1e6, rtol=r))
        points.append((seconds, digits(float(flow.loss_at(1e6)), truth)))
    lines["flowkit, doubles"] = points
    for certify, label in ((False, "flowkit, one run"), (True, "flowkit, certified")):
        points = []
        for precision in (15, 20, 30, 40, 50):
            seconds, flow = timed(
                lambda p=precision, c=certify: flowkit.integrate(
                    problem, w0, 10**6, precision=p, certify=c
                )
            )
            points.append((seconds, min(digits(flow.loss_at(10**6), truth), 59)))
        lines[label] = points
    source = problem.expressions(2)
    values = dict(zip(source.teachers, case["teacher"], strict=True))
    form = [-x.subs(values).doit() for x in source.gradient]
    taylor = taylor_takes(form, list(source.students), w0.ravel().tolist(), 10**6)
    return lines, taylor


def diagram():
    """docs/work-precision.svg"""
    import matplotlib.pyplot as plt

    from flowkit.plots import STYLE

    panels = {"HIRES, end point": hires_lines(), "Toy case 1, loss at t = 10⁶": flow_lines()}
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 2, figsize=(10, 4.2))
        for ax, (title, (lines, taylor)) in zip(axes, panels.items(), strict=True):
            for label, points in lines.items():
                ax.semilogx(*zip(*points, strict=True), "o-", markersize=3, label=label)
                print(title, label, [(round(a, 3), round(b, 1)) for a, b in points], flush=True)
            print(title, "mpmath.odefun", taylor, flush=True)
            ax.axvline(taylor or PATIENCE, color="0.6", linestyle=":")
            note = " mpmath.odefun" + ("" if taylor else ": not yet there")
            ax.text(taylor or PATIENCE, 1, note, rotation=90, fontsize=7, ha="right", va="bottom")
            ax.axhline(16, color="0.8", linewidth=1)
            ax.set(xlabel="seconds", ylabel="correct digits", title=title, ylim=(0, None))
            ax.legend()
        figure.savefig(
            Path(__file__).parents[2] / "docs" / "work-precision.svg", metadata={"Date": None}
        )


def main():
    known = {f.__name__: f for f in (flows, ivp, odefun, arithmetic, diagram)}
    names = sys.argv[1:] or [name for name in known if name != "diagram"]
    for name in names:
        print(f"\n{name}: {known[name].__doc__.splitlines()[0]}", flush=True)
        known[name]()


if __name__ == "__main__":
    main()
