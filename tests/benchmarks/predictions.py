"""Predicted exponents and constants against flows, and what derivations cost.

python tests/benchmarks/predictions.py [derivations|two|more|series|leaky]
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import mpmath
import numpy as np

import flowkit
from flowkit import TeacherStudent, integrate
from symbolic.lower import lower
from symbolic.profile import expressions

DATA = Path(__file__).parents[1] / "data" / "reference_flows.json"
FLOWS = json.loads(DATA.read_text())
MP = mpmath.mp


def derivations():
    """Steps, how many SymPy decides, seconds; and of a cold command."""
    began = time.perf_counter()
    verdicts = [made.check() for made in flowkit.derivations()]
    seconds = time.perf_counter() - began
    steps, exact = sum(map(len, verdicts)), sum(v.exact for v in verdicts)
    print(f"{len(verdicts)} derivations, {steps} steps, {exact} exact: {seconds:.1f} s")
    command = [sys.executable, "-m", "flowkit", "derive", "toy-1", "--format", "latex"]
    times = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    print(f"cold flowkit derive toy-1: {sorted(times)[1]:.1f} s")


def two():
    """Constant of n = 2 from the flow's own h against the extrapolated limit of t³L."""
    for seed, scale in enumerate((1, 3, 0.5)):
        draw = np.random.default_rng(seed)
        v = scale * draw.standard_normal(3)
        flow = integrate(
            TeacherStudent(v), 0.4 * draw.standard_normal((2, 3)), 10**12, precision=50
        )
        limit = flowkit.extrapolate(flow, power=3)
        with MP.workdps(60):
            gap = abs(flow.problem.asymptotics(flow).constant / limit.value - 1)
            print(f"n = 2, ‖v‖ = {np.linalg.norm(v):.3f}: {float(-MP.log10(gap)):.1f} digits")


def more():
    """F of the flow's own h and shape at t = 1e40, and of the refined profile, against t³L."""
    for name in ("random-n3", "random-n4"):
        case = FLOWS[name]
        problem = TeacherStudent(case["teacher"])
        flow = integrate(problem, np.array(case["w0"]), 10**40, precision=50)
        law = problem.asymptotics(flow)
        with MP.workdps(180):
            t = MP.mpf(10) ** 40
            cube = t**3 * flow.loss_at(t)
            own = abs(own_shape(flow, t) / cube - 1)
            profile = abs(law.constant / cube - 1)
        eigenvalues = ", ".join(f"{x:.4f}" for x in law.eigenvalues)
        print(f"{name}: own shape {float(own):.1e}, profile {float(profile):.1e}, λ {eigenvalues}")


def own_shape(flow, t):
    """F of h and t b, from the SymPy expression; ‖v‖ = 1."""
    w, v = flow(t), [MP.mpf(x) for x in flow.problem.teacher[0]]
    h = [MP.fdot(row, v) for row in w]
    b = [t * (x - a * y) for row, a in zip(w, h, strict=True) for x, y in zip(row, v, strict=True)]
    form = expressions(len(w), len(v))
    symbols = [*form.h, *form.b, form.kink_weight]
    context = mpmath.MPContext()
    context.dps = MP.dps
    numbers = [context.make_mpf(x._mpf_) for x in (*h, *b)]
    (value,) = lower([form.energy], symbols, "mpmath", context)(*numbers, context.one)
    return MP.make_mpf(value._mpf_)


def series():
    """Toy case 1: relative error of the loss by one, two, three terms, in τ = t + t₀."""
    import sympy as sp

    from symbolic.long_time import TAU
    from symbolic.toy_cases import KAPPA, V

    times = [10**k for k in (3, 4, 5, 6)]
    w0 = [["0.3", "0.2"], ["0.3", "-0.2"]]
    flow = integrate(TeacherStudent([1, 0]), w0, 10**12, t_eval=[*times, 10**12], precision=50)
    angle, loss = flowkit.derive("toy-1-series").result
    with MP.workdps(60):
        x, y = flow.w[-1][0]
        theta = MP.atan2(y, x)
        late = sp.nsolve(angle.subs(KAPPA, 1) - sp.Float(str(theta), 60), TAU, 10**12, prec=60)
        shift = MP.mpf(str(late)) - 10**12
        terms = sp.Add.make_args(sp.expand(loss.subs({KAPPA: 1, V: 1})))
        terms = sorted(terms, key=lambda term: sp.Poly(term, 1 / TAU).degree())
        for kept in (1, 2, 3):
            form = sp.lambdify(TAU, sp.Add(*terms[:kept]), "mpmath")
            errors = [
                abs(form(t + shift) / value - 1) for t, value in zip(times, flow.loss, strict=False)
            ]
            print(f"toy 1, {kept} terms: " + ", ".join(f"{float(e):.2e}" for e in errors))


def leaky():
    """Local slope and constant at t = 1e12, over −3 and (1 − α)⁻⁴ π²/6."""
    for alpha in (0.1, 0.5, 0.9):
        problem = TeacherStudent([1.0, 0.0], f"leaky:{alpha}")
        flow = integrate(problem, [[0.3, 0.2], [0.3, -0.2]], 1e12)
        ratio = 1e36 * flow.loss[-1] / (np.pi**2 / 6 / (1 - alpha) ** 4)
        slope = flow.slope_at(1e12)
        print(f"leaky {alpha}: slope + 3 = {slope + 3:.1e}, constant off by {ratio - 1:.1e}")


TABLES = {f.__name__: f for f in (derivations, two, more, series, leaky)}

if __name__ == "__main__":
    for chosen in sys.argv[1:] or TABLES:
        TABLES[chosen]()
