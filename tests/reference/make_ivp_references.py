"""Multiprecision reference values for the stiff test set of initial value problems.

Usage: ``python tests/reference/make_ivp_references.py [problem ...]``  (none = all problems).
Needs sympy and python-flint; writes ``tests/data/reference_ivp.json`` after each problem.

The problems are autonomous.  Their equations stand below as formulas in y1, y2, ..; sympy reads
them with exact rational coefficients, so there is no second copy of the data.

The solver.  Lobatto IIIC with s stages (order 2 s - 2, L-stable, stiffly accurate), a family
other than the Radau IIA methods that these values are meant to judge.  The stages Z_i = Y_i - y
satisfy

    sum_j (A^-1)_ij Z_j = h f(y + Z_i),        y_new = y + Z_s.

They are found by the full Newton method: exact Jacobian in every stage, residual and linear
algebra with ``DIGITS`` digits, unknowns scaled by the size of each component.  The first stage
sits at the left end of the step but differs from y; this jump (the size of the highest term of
the stage polynomial) controls the step, relatively in every component.  The error at the end
of a step is smaller: by superconvergence, but less so for components of moderate stiffness.

The coefficients.  c_i are the Lobatto points, a_i1 = b_1, and row i of A integrates polynomials
of degree < s - 1 from 0 to c_i exactly.

Certification.  Everything is computed twice, with the numbers of stages and the tolerances of
``RUNS`` (or ``LIGHT_RUNS``); "agreeing_digits" is -log10 of the relative difference of the two,
the values are those of the second.  Where the stiffness allows it, an explicit Taylor method
computes the same values once more ("taylor_agreeing_digits").  The Arenstorf orbit is not stiff:
two Taylor runs.  All digits are relative to each component, however small.
"published" holds end values from the literature, exactly as printed there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import sympy
from flint import __version__ as flint_version
from flint import arb, arb_mat, ctx, fmpq

OUTPUT = Path(__file__).resolve().parents[1] / "data" / "reference_ivp.json"
DIGITS = 90
NEWTON_TOL = 1e-65
RUNS = ({"stages": 28, "jump": 1e-39}, {"stages": 34, "jump": 1e-45})
LIGHT_RUNS = ({"stages": 24, "jump": 1e-34}, {"stages": 30, "jump": 1e-39})
TAYLOR_CHECK = {"order": 50, "tolerance": 1e-50}
TAYLOR_DIGITS = 130
TAYLOR_RUNS = ({"order": 80, "tolerance": 1e-90}, {"order": 100, "tolerance": 1e-100})
STORED_DIGITS = 42
VERBOSE = False


def size(x: arb) -> arb:
    return abs(x.mid())


def log10(x: arb) -> float:
    """log10 |x|, without overflow (-inf for zero)."""
    return -math.inf if x.mid() == 0 else float(size(x).log().mid()) / math.log(10)


def exact(text: str) -> arb:
    """A decimal such as ``8.375e-6``, rounded to the working precision."""
    value = sympy.Rational(text)
    return arb(fmpq(int(value.p), int(value.q))).mid()


# ---------------------------------------------------------------- the equations


class Polynomial:
    """y' = f(y), f polynomial; built from formulas such as ``-0.04*y1 + 1e4*y2*y3``.

    ``terms[k]`` lists (coefficient, variables with repetition) of the k-th right-hand side.
    """

    def __init__(self, formulas):
        self.n = len(formulas)
        names = sympy.symbols([f"y{k + 1}" for k in range(self.n)])
        self.terms = []
        for formula in formulas:
            poly = sympy.Poly(sympy.sympify(formula, rational=True), *names)
            row = []
            for powers, value in poly.terms():
                variables = [k for k, power in enumerate(powers) for _ in range(power)]
                row.append((arb(fmpq(int(value.p), int(value.q))).mid(), tuple(variables)))
            self.terms.append(row)

    def rhs(self, y: list[arb]) -> list[arb]:
        result = []
        for row in self.terms:
            total = arb(0)
            for value, variables in row:
                for k in variables:
                    value = value * y[k]
                total = total + value
            result.append(total.mid())
        return result

    def jacobian(self, y: list[arb]) -> list[tuple[int, int, arb]]:
        """The nonzero entries (row, column, value)."""
        entries: dict[tuple[int, int], arb] = {}
        for i, row in enumerate(self.terms):
            for value, variables in row:
                for place, k in enumerate(variables):
                    slope = value
                    for m in variables[:place] + variables[place + 1 :]:
                        slope = slope * y[m]
                    entries[i, k] = entries[i, k] + slope if (i, k) in entries else slope
        return [(i, k, value.mid()) for (i, k), value in entries.items()]

    def taylor(self, y: list[arb], order: int) -> list[list[arb]]:
        """Taylor coefficients of the solution through y: result[k][m] of component k, power m."""
        series = [[x] for x in y]
        monomials = {variables for row in self.terms for _, variables in row}
        products = {key[:j] for key in monomials for j in range(2, len(key) + 1)}
        table = {key: [] for key in products} | {(k,): series[k] for k in range(self.n)}
        for m in range(order):
            for key in sorted(products, key=len):
                table[key].append(cauchy(table[key[:-1]], series[key[-1]], m))
            for k, row in enumerate(self.terms):
                total = arb(0)
                for value, variables in row:
                    if variables:
                        total += value * table[variables][m]
                    elif m == 0:
                        total += value
                series[k].append((total / (m + 1)).mid())
        return series


def cauchy(a: list[arb], b: list[arb], m: int) -> arb:
    """Coefficient m of the product of two power series."""
    return sum((a[i] * b[m - i] for i in range(m + 1)), arb(0)).mid()


class ThreeBody:
    """Restricted three-body problem in rotating coordinates; y = (x1, x2, x1', x2')."""

    def __init__(self, mu: str):
        self.n = 4
        self.mu = exact(mu)

    def taylor(self, y: list[arb], order: int) -> list[list[arb]]:
        """With p = r^2, q = p^(-3/2):  m p_0 q_m = sum_{i=1..m} (-3/2 i - m + i) p_i q_{m-i}."""
        x, z, u, v = ([value] for value in y)
        bodies = [(-self.mu, 1 - self.mu), (1 - self.mu, self.mu)]  # position, mass
        shifted = [[(x[0] - place).mid()] for place, _ in bodies]
        p, q = [[], []], [[], []]
        for m in range(order):
            ax, az = x[m] + 2 * v[m], z[m] - 2 * u[m]
            for b, (_, mass) in enumerate(bodies):
                p[b].append((cauchy(shifted[b], shifted[b], m) + cauchy(z, z, m)).mid())
                if m == 0:
                    q[b].append((1 / (p[b][0] * p[b][0].sqrt())).mid())
                else:
                    total = sum(
                        ((fmpq(-i, 2) - m) * p[b][i] * q[b][m - i] for i in range(1, m + 1)), arb(0)
                    )
                    q[b].append((total / (m * p[b][0])).mid())
                ax -= mass * cauchy(shifted[b], q[b], m)
                az -= mass * cauchy(z, q[b], m)
            for series, slope in ((x, u[m]), (z, v[m]), (u, ax), (v, az)):
                series.append((slope / (m + 1)).mid())
            for b in range(2):
                shifted[b].append(x[m + 1])
        return [x, z, u, v]


# ---------------------------------------------------------------- Lobatto IIIC


class Lobatto:
    """Nodes and inverse coefficient matrix of Lobatto IIIC, and Lagrange extrapolation."""

    def __init__(self, stages: int):
        self.s = stages
        with ctx.workdps(4 * DIGITS + 10 * stages):
            nodes = self.points(stages)
            powers = arb_mat([[c**k for c in nodes] for k in range(stages)])
            moments = arb_mat([[arb(1) / (k + 1)] for k in range(stages)])
            first = powers.solve(moments)[0, 0]
            # rows a_i: sum_j a_ij c_j^k = c_i^(k+1)/(k+1) for k < s - 1, and a_i1 = b_1
            system = [[c**k for c in nodes] for k in range(stages - 1)]
            system.append([arb(1)] + [arb(0)] * (stages - 1))
            target = [[c ** (k + 1) / (k + 1) for c in nodes] for k in range(stages - 1)]
            target.append([first] * stages)
            matrix = arb_mat(system).solve(arb_mat(target)).transpose()
            inverse = matrix.inv().mid()
            weights = []
            for i, c in enumerate(nodes):
                product = arb(1)
                for j, other in enumerate(nodes):
                    if j != i:
                        product *= c - other
                weights.append((1 / product).mid())
        self.nodes = [(c + 0).mid() for c in nodes]
        self.weights = [(w + 0).mid() for w in weights]
        self.inverse = arb_mat([[(x + 0).mid() for x in row] for row in inverse.tolist()])

    @staticmethod
    def points(stages: int) -> list[arb]:
        """0, 1 and the zeros of P'_{s-1}(2 c - 1): Newton from Chebyshev points."""
        n, points = stages - 1, [arb(0)]
        for k in range(1, n):
            x = -arb(math.cos(math.pi * k / n))
            for _ in range(14):
                before, here = arb(1), x  # P_0, P_1 .. P_{n-1}, P_n
                for m in range(1, n):
                    before, here = here, (((2 * m + 1) * x * here - m * before) / (m + 1)).mid()
                slope = (n * (before - x * here) / (1 - x * x)).mid()
                curve = ((2 * x * slope - n * (n + 1) * here) / (1 - x * x)).mid()
                x = (x - slope / curve).mid()
            points.append(((x + 1) / 2).mid())
        return [*points, arb(1)]

    def extrapolate(self, stages: list[list[arb]], ratio: arb) -> list[list[arb]]:
        """Stage values of the next step (ratio times as long) from the last stage polynomial."""
        rows = []
        for c in self.nodes:
            x = 1 + ratio * c
            if x in self.nodes:
                row = [arb(int(x == node)) for node in self.nodes]
            else:
                pairs = zip(self.weights, self.nodes, strict=True)
                row = [weight / (x - node) for weight, node in pairs]
            total = sum(row, arb(0))
            rows.append([(entry / total).mid() for entry in row])
        return (arb_mat(rows) * arb_mat(stages)).mid().tolist()


class Stepper:
    """Lobatto IIIC with variable steps for a polynomial system."""

    def __init__(self, system: Polynomial, stages: int, jump: float):
        self.system, self.method, self.tolerance = system, Lobatto(stages), jump
        n, s = system.n, stages
        base = [arb(0)] * (s * n) ** 2
        for i, j, k in itertools.product(range(s), range(s), range(n)):
            base[(i * n + k) * s * n + j * n + k] = self.method.inverse[i, j]
        self.base = base
        self.steps = self.rejected = self.iterations = 0

    def solve(self, y: list[arb], h: arb, guess: list[list[arb]]):
        """Newton's method for the stages; None if it does not converge."""
        n, s = self.system.n, self.method.s
        stages, last = guess, math.inf
        for _ in range(12):
            self.iterations += 1
            scale = [max(size(row[k]) for row in [y, *stages]) for k in range(n)]
            scale = [x if x > 0 else arb(1) for x in scale]
            increments = arb_mat([[a - b for a, b in zip(row, y, strict=True)] for row in stages])
            left = (self.method.inverse * increments).tolist()
            entries, residual = list(self.base), []
            for i, row in enumerate(stages):
                slope = self.system.rhs(row)
                residual += [[((left[i][k] - h * slope[k]) / scale[k]).mid()] for k in range(n)]
                for k, m, value in self.system.jacobian(row):
                    place = (i * n + k) * s * n + i * n + m
                    entries[place] = (entries[place] - h * value * scale[m] / scale[k]).mid()
            matrix = arb_mat(s * n, s * n, entries)
            change = matrix.solve(arb_mat(residual), algorithm="approx").entries()
            stages = [
                [(row[k] - scale[k] * change[i * n + k]).mid() for k in range(n)]
                for i, row in enumerate(stages)
            ]
            current = float(max(size(x) for x in change))
            if not math.isfinite(current) or current > 1e6:
                return None
            constant = current / last**2 if 0 < last < 1e-3 else 1e6
            if current < NEWTON_TOL or (current < 1e-10 and constant * current**2 < NEWTON_TOL):
                return stages
            if last < 1e-3 and current > 0.3 * last:
                return None
            last = current
        return None

    def run(self, y: list[arb], times: list[arb], first_step: float) -> list[list[arb]]:
        """Values at the given times, starting from y at t = 0."""
        t, h, previous, results = arb(0), arb(first_step), None, []
        for end in times:
            while t < end:
                rest = (end - t).mid()
                step = rest if h >= rest else (rest / 2).mid() if 2 * h > rest else h
                answer = None
                if previous is not None:
                    guess = self.method.extrapolate(previous[1], (step / previous[0]).mid())
                    answer = self.solve(y, step, guess)
                elif t == 0:
                    answer = self.solve(y, step, [y] * self.method.s)
                if answer is None:
                    self.rejected += 1
                    h = (step / 4).mid()
                    continue
                factor = self.factor(y, answer)
                if factor < 0.8:
                    self.rejected += 1
                    h = (step * factor).mid()
                    continue
                self.steps += 1
                t = end if step is rest else (t + step).mid()
                y, previous = answer[-1], (step, answer)
                proposal = (step * factor).mid()
                h = proposal if step is h else max(h, proposal)
                if VERBOSE:
                    print(f"  {float(t):.15g} {float(step):.3g} {log10(y[0]):.3g}", flush=True)
            results.append(y)
        return results

    def factor(self, y: list[arb], stages: list[list[arb]]) -> float:
        """Recommended ratio of the next step and this one."""
        worst = -math.inf
        for k, start in enumerate(y):
            scale = max(size(row[k]) for row in [y, *stages])
            if scale > 0:
                worst = max(worst, log10((stages[0][k] - start) / scale))
        ratio = 10 ** ((math.log10(self.tolerance) - worst) / self.method.s)
        return min(4.0, max(0.1, 0.95 * ratio))


# ---------------------------------------------------------------- Taylor


def taylor_run(system, y: list[arb], times: list[arb], order: int, tolerance: float):
    """Explicit Taylor method; values at the given times.

    The step makes the last two terms of each component ``tolerance`` times its first one.
    """
    t, results = arb(0), []
    for end in times:
        while t < end:
            series = system.taylor(y, order)
            logarithms = []
            for row in series:
                low = next((m for m, c in enumerate(row) if c != 0), order)
                for m in (order - 1, order):
                    if m > low and row[m] != 0:
                        gap = log10(row[low]) - log10(row[m]) + math.log10(tolerance)
                        logarithms.append(gap / (m - low))
            step, rest = arb(10 ** min(logarithms)), (end - t).mid()
            last = step >= rest
            y = [horner(row, rest if last else step) for row in series]
            t = end if last else (t + step).mid()
        results.append(y)
    return results


def horner(row: list[arb], x: arb) -> arb:
    total = arb(0)
    for c in reversed(row):
        total = (total * x + c).mid()
    return total


# ---------------------------------------------------------------- problems

TEST_SET = (
    "Mazzia & Magherini, Test Set for IVP Solvers 2.4 (2008), problem {} (RADAU, rtol 1.1e-18)"
)
HAIRER = (
    "Hairer & Wanner, stiff test set, www.unige.ch/~hairer/testset, problem {} "
    "(copy: github.com/cpmech/hwode, tests/data/{}_exact.txt)"
)
DETEST = (
    "Enright & Pryce, ACM Algorithm 648, STIFF DETEST problem D2 "
    "(there in the variables y1, 1e4 y2, 1e2 y3; copy: demo of DVODE_F90)"
)
ORBIT = (
    "Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, II.0 and dr_dopri5.f: "
    "y0 and t_end are those of a periodic orbit, so the end values should be y0"
)


@dataclass
class Problem:
    """An initial value problem; ``outputs`` maps t_end to [(published values, source), ..]."""

    title: str
    equations: list[str]
    y0: list[str]
    outputs: dict[str, list[tuple[list[str], str]]]
    first_step: float = 1e-6
    taylor_until: float = 0.0  # explicit Taylor check for the outputs up to this time
    mu: str = ""  # the three-body problem, if not empty
    light: bool = False  # LIGHT_RUNS give enough digits (long computations)

    def system(self):
        return ThreeBody(self.mu) if self.mu else Polynomial(self.equations)


PROBLEMS = {
    "robertson": Problem(
        "Robertson, chemical reaction",
        ["-0.04*y1 + 1e4*y2*y3", "0.04*y1 - 1e4*y2*y3 - 3e7*y2**2", "3e7*y2**2"],
        ["1", "0", "0"],
        {
            "40": [
                (["7.158270687193941e-1", "9.185534764557338e-6", "2.841637457458413e-1"], DETEST)
            ],
            "1e11": [
                (
                    ["0.2083340149701255e-7", "0.8333360770334713e-13", "0.9999999791665050"],
                    TEST_SET.format("ROBER"),
                )
            ],
        },
        taylor_until=40,
    ),
    "hires": Problem(
        "HIRES, high irradiance response of photomorphogenesis",
        [
            "-1.71*y1 + 0.43*y2 + 8.32*y3 + 0.0007",
            "1.71*y1 - 8.75*y2",
            "-10.03*y3 + 0.43*y4 + 0.035*y5",
            "8.32*y2 + 1.71*y3 - 1.12*y4",
            "-1.745*y5 + 0.43*y6 + 0.43*y7",
            "-280*y6*y8 + 0.69*y4 + 1.71*y5 - 0.43*y6 + 0.69*y7",
            "280*y6*y8 - 1.81*y7",
            "-280*y6*y8 + 1.81*y7",
        ],
        ["1", "0", "0", "0", "0", "0", "0", "0.0057"],
        {
            "321.8122": [
                (
                    [
                        "0.7371312573325668e-3",
                        "0.1442485726316185e-3",
                        "0.5888729740967575e-4",
                        "0.1175651343283149e-2",
                        "0.2386356198831331e-2",
                        "0.6238968252742796e-2",
                        "0.2849998395185769e-2",
                        "0.2850001604814231e-2",
                    ],
                    TEST_SET.format("HIRES"),
                ),
                (
                    [
                        "0.000737131257332567",
                        "0.000144248572631618",
                        "0.000058887297409676",
                        "0.001175651343283149",
                        "0.002386356198831330",
                        "0.006238968252742796",
                        "0.002849998395185769",
                        "0.002850001604814231",
                    ],
                    HAIRER.format("HIRES", "hir"),
                ),
            ]
        },
        taylor_until=1000,
        light=True,
    ),
    "oregonator": Problem(
        "OREGO, Oregonator, Belousov-Zhabotinskii reaction",
        [
            "77.27*(y2 + y1*(1 - 8.375e-6*y1 - y2))",
            "(y3 - (1 + y1)*y2)/77.27",
            "0.161*(y1 - y3)",
        ],
        ["1", "2", "3"],
        {
            "360": [
                (
                    ["0.1000814870318523e1", "0.1228178521549917e4", "0.1320554942846706e3"],
                    TEST_SET.format("OREGO"),
                ),
                (
                    ["0.1000814870318523e1", "0.1228178521549889e4", "0.1320554942846513e3"],
                    HAIRER.format("OREGO", "ore"),
                ),
            ]
        },
    ),
    "van-der-pol-1000": Problem(
        "Van der Pol, mu = 1000: y1 = y, y2 = y'",
        ["y2", "1000*(1 - y1**2)*y2 - y1"],
        ["2", "0"],
        {
            "2000": [
                (
                    ["0.1706167732170469e1", "-0.8928097010248125e-3"],
                    TEST_SET.format("VDPOLM"),
                )
            ]
        },
        taylor_until=2000,
    ),
    "van-der-pol-1e-6": Problem(
        "Van der Pol in the time scale of the slow motion, eps = 1e-6",
        ["y2", "((1 - y1**2)*y2 - y1)/1e-6"],
        ["2", "0"],
        {
            "1": [
                (
                    ["-0.1863646254808130e1", "0.7535430865435460"],
                    HAIRER.format("VDPOL", "vdp"),
                )
            ],
            "2": [
                (
                    ["0.1706167732170483e1", "-0.8928097010247975"],
                    TEST_SET.format("VDPOL"),
                ),
                (
                    ["0.1706167732170456e1", "-0.8928097010248257"],
                    HAIRER.format("VDPOL", "vdp"),
                ),
            ],
            "11": [
                (
                    ["-0.1590150544829062e1", "0.1040279389212485e1"],
                    HAIRER.format("VDPOL", "vdp"),
                )
            ],
        },
        first_step=1e-9,
    ),
    "e5": Problem(
        "E5, chemical pyrolysis (STIFF DETEST)",
        [
            "-7.89e-10*y1 - 1.1e7*y1*y3",
            "7.89e-10*y1 - 1.13e9*y2*y3",
            "7.89e-10*y1 - 1.1e7*y1*y3 - 1.13e9*y2*y3 + 1.13e3*y4",
            "1.1e7*y1*y3 - 1.13e3*y4",
        ],
        ["1.76e-3", "0", "0", "0"],
        {
            "1e11": [
                (
                    [
                        "3.8139035189787091771e-49",
                        "1.0192582567660293322e-20",
                        "1.0192582567660293322e-20",
                        "3.7844935507486221171e-65",
                    ],
                    HAIRER.format("E5", "e5"),
                )
            ],
            "1e13": [
                (
                    ["0", "8.8612334976263783420e-23", "8.8612334976263783421e-23", "0"],
                    HAIRER.format("E5", "e5"),
                ),
                (
                    [
                        "0.1152903278711829e-290",
                        "0.8867655517642120e-22",
                        "0.8854814626268838e-22",
                        "0",
                    ],
                    TEST_SET.format("E5") + "; the double precision result, few digits are right",
                ),
            ],
        },
        light=True,
    ),
    "arenstorf": Problem(
        "Arenstorf orbit, restricted three-body problem: y = (x1, x2, x1', x2'), mu = 0.012277471",
        [
            "y3",
            "y4",
            "y1 + 2*y4 - (1 - mu)*(y1 + mu)/((y1 + mu)**2 + y2**2)**(3/2)"
            " - mu*(y1 - 1 + mu)/((y1 - 1 + mu)**2 + y2**2)**(3/2)",
            "y2 - 2*y3 - (1 - mu)*y2/((y1 + mu)**2 + y2**2)**(3/2)"
            " - mu*y2/((y1 - 1 + mu)**2 + y2**2)**(3/2)",
        ],
        ["0.994", "0", "0", "-2.00158510637908252240537862224"],
        {
            "17.0652165601579625588917206249": [
                (["0.994", "0", "0", "-2.00158510637908252240537862224"], ORBIT)
            ]
        },
        mu="0.012277471",
    ),
}


# ---------------------------------------------------------------- output


def agreement(a: arb, b: arb) -> float:
    """Agreeing decimal digits, -log10 |a/b - 1| (at most 99)."""
    gap = -log10(a / b - 1)
    return min(99.0, math.floor(10 * gap) / 10)


def compare(first: list[arb], second: list[arb]) -> list[float]:
    return [agreement(a, b) for a, b in zip(first, second, strict=True)]


def solve(problem: Problem, run: dict) -> list[list[arb]]:
    """One run: values at all outputs."""
    y, times = [exact(x) for x in problem.y0], [exact(t) for t in problem.outputs]
    if problem.mu:
        return taylor_run(problem.system(), y, times, **run)
    stepper = Stepper(problem.system(), **run)
    results = stepper.run(y, times, problem.first_step)
    print(
        f"  {run}: {stepper.steps} steps, {stepper.rejected} rejected, "
        f"{stepper.iterations} Newton iterations",
        flush=True,
    )
    return results


def note(method: str, runs, digits: int) -> str:
    settings = "; ".join(", ".join(f"{k} {v:g}" for k, v in run.items()) for run in runs)
    return (
        f"{method}, {digits} working digits (python-flint {flint_version}); two runs: {settings}; "
        "values of the second"
    )


def entries(name: str) -> dict[str, dict]:
    """All outputs of a problem, one entry each."""
    problem = PROBLEMS[name]
    runs = TAYLOR_RUNS if problem.mu else LIGHT_RUNS if problem.light else RUNS
    ctx.dps = TAYLOR_DIGITS if problem.mu else DIGITS
    method = "explicit Taylor method" if problem.mu else "Lobatto IIIC with full Newton"
    timing, results = [], []
    for run in runs:
        begin = time.perf_counter()
        results.append(solve(problem, run))
        timing.append(round(time.perf_counter() - begin, 1))
    checked = [t for t in problem.outputs if float(t) <= problem.taylor_until]
    begin = time.perf_counter()
    start = [exact(x) for x in problem.y0]
    check = taylor_run(problem.system(), start, [exact(t) for t in checked], **TAYLOR_CHECK)
    print(f"  {timing} s, Taylor check {time.perf_counter() - begin:.1f} s", flush=True)

    cases = {}
    for k, (t, published) in enumerate(problem.outputs.items()):
        coarse, fine = results[0][k], results[1][k]
        case = {
            "problem": problem.title,
            "equations": [f"y{i + 1}' = {rhs}" for i, rhs in enumerate(problem.equations)],
            "y0": problem.y0,
            "t_end": t,
            "y_end": [x.str(STORED_DIGITS, radius=False) for x in fine],
            "agreeing_digits": compare(coarse, fine),
            "taylor_agreeing_digits": compare(check[k], fine) if t in checked else None,
            "published": [
                {
                    "y_end": values,
                    "digits": compare([exact(x) for x in values], fine),
                    "source": source,
                }
                for values, source in published
            ]
            or None,
            "provenance": note(method, runs, ctx.dps),
        }
        cases[f"{name}-{t}"] = case
    return cases


def save(cases: dict[str, dict]) -> None:
    """Merge entries into the JSON file."""
    data = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    data |= cases
    order = [f"{name}-{t}" for name, problem in PROBLEMS.items() for t in problem.outputs]
    ordered = {key: data[key] for key in [*order, *data] if key in data}
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(ordered, indent=1) + "\n")


def main() -> None:
    global VERBOSE
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problem", nargs="*", default=list(PROBLEMS), help=", ".join(PROBLEMS))
    parser.add_argument("--verbose", action="store_true", help="print every step")
    arguments = parser.parse_args()
    VERBOSE = arguments.verbose
    for name in arguments.problem:
        print(name, flush=True)
        cases = entries(name)
        save(cases)
        for key, case in cases.items():
            print(f"  {key}: {min(case['agreeing_digits'])} digits or more", flush=True)


if __name__ == "__main__":
    main()
