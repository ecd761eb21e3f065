"""Multiprecision reference values for the two-layer ReLU teacher-student gradient flow.

Usage: ``python tests/reference/make_references.py [case ...]``  (no case = all cases).
Needs numpy, scipy and python-flint; writes ``tests/data/reference_flows.json`` after each case.

The problem.  Students w_1..w_n (rows of W), one teacher v, x ~ N(0, I):

    L(W) = E 1/2 (sum_i relu(w_i.x) - relu(v.x))^2 = 1/2 sum_{a,b} c_a c_b K(a, b),
    K(a, b) = |a| |b| (sin th + (pi - th) cos th) / (2 pi),    th = angle(a, b),

with signs c = +1 for students and -1 for the teacher.  The flow is dw_i/dt = -dL/dw_i,

    dL/dw_i = r/2 + [ (sum_j |w_j| sin th_ij - |v| sin th_i) w_i/|w_i|
                      - sum_j th_ij w_j + th_i v ] / (2 pi),        r = sum_i w_i - v.

The formulas are used exactly as written: at late times L ~ t^-3 comes out of a sum of O(1)
terms, and the cancellation is simply absorbed by the working precision (``digits_for``).

The solver.  Radau IIA collocation with 24 or 28 stages in s = ln(1 + t), for the linearly
changed unknowns r and beta_i = w_i - (v + r)/n (i < n; the beta_i sum to zero).  The stage
equations are solved by Newton's method: residual in multiprecision, linear solve in scaled
double precision, Jacobian by multiprecision differences; each iteration gains some digits.
Steps are halved until the last Legendre coefficients of the collocation polynomial are below
a tolerance, and land exactly on every output time.

Certification.  Every flow is computed twice, with different stage numbers and step
tolerances (``RUNS``).  "agreeing_digits" is -log10 of the relative difference of the two
losses; the values of the finer run are stored.  Closed-form cases are compared with the solver.

A neuron that shrinks to zero.  Its norm rho and direction u = w/rho are followed in
regularised time d tau = dt/rho, with ln rho as unknown, until rho < 1e-70; the death time is
then t + rho/gamma, gamma = -d rho/dt, up to O(rho^2).  The flow goes on without the neuron.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import time
from pathlib import Path

import numpy as np
from flint import __version__ as flint_version
from flint import arb, arb_mat, ctx, fmpq
from scipy.optimize import minimize

OUTPUT = Path(__file__).resolve().parents[1] / "data" / "reference_flows.json"
RUNS = ({"stages": 24, "tail": 1e-41}, {"stages": 28, "tail": 1e-45})
NEWTON_TOL = 1e-70
LOSS_DIGITS = 60
WEIGHT_DIGITS = 40
MIN_STEP = 1e-6
VERBOSE = False


# ---------------------------------------------------------------- plain formulas


def digits_for(log10_t: float) -> int:
    """Working decimal digits up to time t: L ~ t^-3 and angles ~ 1/t need about 5 log10 t."""
    return 150 + round(5 * max(0.0, log10_t))


def exact(rows) -> arb_mat:
    """Matrix of doubles, taken as exact dyadic numbers."""
    return arb_mat([[arb(float(x)) for x in row] for row in rows])


def rows_of(matrix: arb_mat) -> list[list[arb]]:
    return matrix.tolist()


def angles(vectors: arb_mat):
    """Norms and the tables of cos, sin and angle between the rows of ``vectors``."""
    gram = rows_of((vectors * vectors.transpose()).mid())
    count = len(gram)
    norm = [gram[i][i].sqrt() for i in range(count)]
    one, zero = arb(1), arb(0)
    cos = [[one] * count for _ in range(count)]
    sin = [[zero] * count for _ in range(count)]
    theta = [[zero] * count for _ in range(count)]
    for i in range(count):
        for j in range(i):
            c = (gram[i][j] / (norm[i] * norm[j])).mid()
            c = max(-one, min(one, c))  # rounding may exceed 1 for parallel vectors
            cos[i][j] = cos[j][i] = c
            sin[i][j] = sin[j][i] = (1 - c * c).sqrt()
            theta[i][j] = theta[j][i] = c.acos()
    return norm, cos, sin, theta


def with_teacher(weights: arb_mat, teacher: list[arb]) -> arb_mat:
    return arb_mat([*rows_of(weights), teacher])


def loss(weights: arb_mat, teacher: list[arb]) -> arb:
    """L = 1/2 sum c_a c_b K(a, b)."""
    norm, cos, sin, theta = angles(with_teacher(weights, teacher))
    count, pi, total = len(norm), arb.pi(), arb(0)
    for i in range(count):
        for j in range(count):
            kernel = norm[i] * norm[j] * (sin[i][j] + (pi - theta[i][j]) * cos[i][j]) / (2 * pi)
            total += kernel if (i == count - 1) == (j == count - 1) else -kernel
    return (total / 2).mid()


def gradient(weights: arb_mat, teacher: list[arb]) -> arb_mat:
    """dL/dw_i, as coefficients times the rows (w_1, .., w_n, v)."""
    vectors = with_teacher(weights, teacher)
    norm, _, sin, theta = angles(vectors)
    n = len(norm) - 1
    half, two_pi = arb(fmpq(1, 2)), 2 * arb.pi()
    coefficient = []
    for i in range(n):
        row = [half - theta[i][j] / two_pi for j in range(n)]
        row.append(theta[i][n] / two_pi - half)
        radial = -norm[n] * sin[i][n]
        for j in range(n):
            radial += norm[j] * sin[i][j]
        row[i] += radial / (two_pi * norm[i])
        coefficient.append(row)
    return (arb_mat(coefficient) * vectors).mid()


# ---------------------------------------------------------------- collocation


class Radau:
    """Radau IIA nodes 0 < c_1 < .. < c_s = 1 and the inverse of the collocation matrix."""

    def __init__(self, stages: int, digits: int):
        self.stages = stages
        saved, ctx.dps = ctx.dps, digits + 3 * stages
        self.c = [radau_node(stages, x) for x in radau_guess(stages)] + [arb(1)]
        powers = [[c**k for c in self.c] for k in range(1, stages + 1)]
        values = arb_mat(powers).transpose()
        slopes = [[k * c ** (k - 1) for c in self.c] for k in range(1, stages + 1)]
        # polynomial without constant term: Z = values q, Z' = slopes q
        self.ainv = (arb_mat(slopes).transpose() * values.inv()).mid()
        self.ainv_double = to_double(self.ainv)
        full = [arb(0), *self.c]
        self.weight = [1 / product(x - y for y in full if y is not x) for x in full]
        # leading Legendre coefficient on [0, 1] is (leading power coefficient) / binom(2s, s)
        self.tail = [(w / math.comb(2 * stages, stages)).mid() for w in self.weight[1:]]
        ctx.dps = saved

    def predict(self, rows, points) -> arb_mat:
        """Values at ``points`` (units of the step) of the polynomial through 0 and the stages."""
        full = [arb(0), *self.c]
        matrix = []
        for x in points:
            factor = product(x - y for y in full)
            matrix.append([factor * w / (x - y) for w, y in zip(self.weight, full, strict=True)])
        return (arb_mat(matrix) * arb_mat(rows)).mid()


def product(items) -> arb:
    result = arb(1)
    for item in items:
        result *= item
    return result


def radau_guess(stages: int) -> np.ndarray:
    """Double-precision roots in (-1, 1) of P_s - P_{s-1}, x = 1 removed."""
    series = np.zeros(stages + 1)
    series[stages - 1 :] = -1, 1
    roots = np.sort(np.polynomial.legendre.legroots(series).real)
    return roots[:-1]


def radau_node(stages: int, guess: float) -> arb:
    """Refine a root x of P_s - P_{s-1} by Newton's method; return the node (1 + x)/2."""
    x = arb(float(guess))
    for _ in range(12):
        previous, current = arb(1), x
        dprevious, dcurrent = arb(0), arb(1)
        for k in range(1, stages):
            following = ((2 * k + 1) * x * current - k * previous) / (k + 1)
            dfollowing = dprevious + (2 * k + 1) * current
            previous, current = current, following
            dprevious, dcurrent = dcurrent, dfollowing
        x = (x - (current - previous) / (dcurrent - dprevious)).mid()
    return (1 + x) / 2


def to_double(matrix: arb_mat) -> np.ndarray:
    shape = matrix.nrows(), matrix.ncols()
    return np.array([float(x) for x in matrix.entries()]).reshape(shape)


class System:
    """An ordinary differential equation y' = f(s, y) with scales for the unknowns.

    Subclasses give ``rhs(s, y) -> list``, ``scales(s) -> list of float`` (sizes of the
    unknowns) and ``difference(s) -> arb`` (increment for the Jacobian, in units of 1).
    """

    def jacobian(self, s: arb, y: list[arb]) -> np.ndarray:
        eps, base = self.difference(s), arb_mat([self.rhs(s, y)])
        columns = []
        for k in range(len(y)):
            moved = list(y)
            moved[k] += eps
            slope = (arb_mat([self.rhs(s, moved)]) - base).entries()
            columns.append([float((x / eps).mid()) for x in slope])
        return np.array(columns).T


class StepError(Exception):
    """Newton's method failed or the step is not resolved: try a smaller step."""


def newton_matrix(system, method, h, times, stages):
    """Inverse of the scaled Newton matrix Ainv/h - blockdiag(J_i), with its row scaling."""
    size, count = stages.ncols(), method.stages
    big = np.kron(method.ainv_double / float(h), np.eye(size))
    for i, y in enumerate(rows_of(stages)):
        part = slice(i * size, (i + 1) * size)
        big[part, part] -= system.jacobian(times[i], y)
    big *= np.tile(system.scales(times[-1]), count)
    row = 1 / np.abs(big).max(axis=1)
    return np.linalg.inv(big * row[:, None]), row


def solve_stages(system, method, s, h, y, guess) -> arb_mat:
    """Stage values of one step, by Newton's method from ``guess``."""
    times = [(s + h * c).mid() for c in method.c]
    start = arb_mat([y] * method.stages)
    scale = np.array([system.scales(times[-1])] * method.stages)
    stages, inverse, last = guess, None, math.inf
    for iteration in range(60):
        if inverse is None:
            inverse, row = newton_matrix(system, method, h, times, stages)
        slopes = [system.rhs(t, x) for t, x in zip(times, rows_of(stages), strict=True)]
        residual = ((method.ainv * (stages - start)) * (1 / h) - arb_mat(slopes)).mid()
        delta = (inverse @ (row * to_double(residual).ravel())).reshape(scale.shape)
        size = np.abs(delta).max()
        if not size < 10 or iteration > 25:
            raise StepError
        stages = (stages - exact(delta * scale)).mid()
        if size < NEWTON_TOL:
            return stages
        if size > 1e-3 * last:  # slow: new Jacobian
            inverse = None
        last = size
    raise StepError


def polynomial_tail(system, method, s_end, y, stages) -> float:
    """Leading Legendre coefficient of the collocation polynomial relative to the scales."""
    change = stages - arb_mat([y] * method.stages)
    lead = to_double((arb_mat([method.tail]) * change).mid())
    return np.abs(lead[0] / system.scales(s_end)).max()


def integrate(system, y, s, stop, run, memory=None, until=None):
    """Integrate from s to exactly ``stop`` (or until ``until(y)``); return s, y, memory.

    ``memory`` is the suggested step and the last polynomial (start, step, values).
    """
    method = radau(run["stages"])
    h, last = memory or (arb(fmpq(1, 50)), None)
    while s < stop:
        pieces = max(1, math.ceil(float((stop - s) / h) * (1 - 1e-9)))
        step = ((stop - s) / pieces).mid()
        if float(step) < MIN_STEP:
            raise RuntimeError(f"step too small at s = {float(s)}: does a neuron die?")
        try:
            stages = solve_stages(system, method, s, step, y, predicted(method, s, y, step, last))
        except StepError:
            h = (step * arb(fmpq(1, 2))).mid()
            continue
        last = (s, step, [y, *rows_of(stages)])
        tail = polynomial_tail(system, method, s + step, y, stages)
        factor = 0.9 * (run["tail"] / (tail + 1e-300)) ** (1 / method.stages)
        h = (step * arb(min(2.0, max(0.3, factor)))).mid()
        if tail <= run["tail"]:
            s, y = (stop if pieces == 1 else (s + step).mid()), last[2][-1]
            if VERBOSE:
                print(f"  s={float(s):.4f} h={float(step):.4f} tail={tail:.1e}", flush=True)
            if until is not None and until(y):
                break
    return s, y, (h, last)


def predicted(method, s, y, step, last) -> arb_mat:
    """First guess of the stages: the last polynomial (constant at the start)."""
    if last is None:
        return arb_mat([y] * method.stages)
    start, width, rows = last
    points = [((s + c * step - start) / width).mid() for c in method.c]
    if points[-1] > 3:
        return arb_mat([y] * method.stages)
    return method.predict(rows, points)


@functools.cache
def radau(stages: int) -> Radau:
    return Radau(stages, 420)


# ---------------------------------------------------------------- the flow in log time


def reflection(teacher: arb_mat) -> arb_mat:
    """Symmetric orthogonal matrix H with v H = |v| e1."""
    d = teacher.ncols()
    row = teacher.entries()
    length = sum((x * x for x in row), arb(0)).sqrt()
    identity = [[arb(int(i == j)) for j in range(d)] for i in range(d)]
    normal = [x - length * e for x, e in zip(row, identity[0], strict=True)]
    square = sum((x * x for x in normal), arb(0)).mid()
    if square == 0:
        return arb_mat(identity)
    outer = arb_mat([[x] for x in normal]) * arb_mat([normal])
    return (arb_mat(identity) - outer * (2 / square)).mid()


class Flow(System):
    """dw/dt = -dL/dw for n students in s = ln(1 + t); the teacher is |v| e1.

    Unknowns (one flat list): r, then beta_i = w_i - (v + r)/n for i < n.
    """

    def __init__(self, n: int, teacher: list[arb]):
        self.n, self.d, self.teacher = n, len(teacher), teacher
        inner = range(n - 1)
        unit = [[fmpq(int(i == j)) for j in inner] for i in inner]
        self.to_weights = arb_mat(
            [[fmpq(1, n), *unit[i]] for i in inner] + [[fmpq(1, n)] + [fmpq(-1)] * (n - 1)]
        )
        mean = [[fmpq(int(i == j)) - fmpq(1, n) for j in range(n)] for i in inner]
        self.from_weights = arb_mat([[fmpq(1)] * n, *mean])

    def weights(self, y: list[arb]) -> arb_mat:
        rows = arb_mat(self.n, self.d, y)
        share = arb_mat([[x / self.n for x in self.teacher]] * self.n)
        return (self.to_weights * rows + share).mid()

    def state(self, weights: arb_mat) -> list[arb]:
        rows = rows_of((self.from_weights * weights).mid())
        rows[0] = [x - v for x, v in zip(rows[0], self.teacher, strict=True)]
        return [x.mid() for row in rows for x in row]

    def rhs(self, s: arb, y: list[arb]) -> list[arb]:
        slope = self.from_weights * gradient(self.weights(y), self.teacher)
        return (slope * (-s.exp())).mid().entries()

    def scales(self, s: arb) -> np.ndarray:
        small = math.exp(-float(s))
        beta = [1.0] + [small] * (self.d - 1)
        return np.array([small**2] * self.d + beta * (self.n - 1))

    def difference(self, s: arb) -> arb:
        return arb(10) ** -(25 + round(2 * float(s) / math.log(10)))


class ExponentialFlow(Flow):
    """The same flow where everything decays like exp(-n t/2): scales to match."""

    def scales(self, s: arb) -> np.ndarray:
        small = math.exp(-self.n * math.expm1(float(s)) / 2)
        return np.array([small] * self.d + [1.0] * (self.d * (self.n - 1)))

    def difference(self, s: arb) -> arb:
        return (-self.n * (s.exp() - 1) / 2).exp() * arb(10) ** -25


def follow(flow, weights, s, times, run, digits):
    """Integrate from s; return (weights, loss) at every time (decimal strings).

    ``digits(t)`` gives the working precision up to time t.
    """
    turn = reflection(arb_mat([flow.original]))
    y, memory, results = flow.state((weights * turn).mid()), None, []
    for text in times:
        ctx.dps = digits(text)
        stop = (1 + arb(text)).log().mid()
        s, y, memory = integrate(flow, y, s, stop, run, memory)
        now = flow.weights(y)
        results.append(((now * turn).mid(), loss(now, flow.teacher)))
    return results


def make_flow(kind, n, teacher: list[float]):
    """Flow of class ``kind`` with the teacher turned to |v| e1."""
    original = [arb(float(x)) for x in teacher]
    turned = (arb_mat([original]) * reflection(arb_mat([original]))).mid().entries()
    flow = kind(n, [turned[0], *[arb(0)] * (len(teacher) - 1)])
    flow.original = original
    return flow


# ---------------------------------------------------------------- death of a neuron


class Collapse(System):
    """Regularised flow near the death of neuron ``dead``: d tau = dt/rho.

    Unknowns: t, ln rho, the unit vector u, then the other weights.
    """

    def __init__(self, n: int, teacher: list[arb], dead: int):
        self.n, self.d, self.teacher, self.dead = n, len(teacher), teacher, dead

    def state(self, t: arb, weights: arb_mat) -> list[arb]:
        rows = rows_of(weights)
        small = rows.pop(self.dead)
        rho = sum((x * x for x in small), arb(0)).sqrt()
        unit = [(x / rho).mid() for x in small]
        return [t, rho.log().mid(), *unit, *(x for row in rows for x in row)]

    def weights(self, y: list[arb]) -> arb_mat:
        d, rho = self.d, y[1].exp()
        rows = [y[2 + d * k : 2 + d * (k + 1)] for k in range(1, self.n)]
        rows.insert(self.dead, [rho * x for x in y[2 : 2 + d]])
        return arb_mat(rows).mid()

    def others(self, y: list[arb]) -> arb_mat:
        rows = rows_of(self.weights(y))
        del rows[self.dead]
        return arb_mat(rows)

    def rhs(self, s: arb, y: list[arb]) -> list[arb]:
        rho, u = y[1].exp(), y[2 : 2 + self.d]
        rows = rows_of(gradient(self.weights(y), self.teacher))
        own = rows.pop(self.dead)
        slope = sum((g * x for g, x in zip(own, u, strict=True)), arb(0))
        square = sum((x * x for x in u), arb(0))  # |u| = 1; dividing keeps rounding neutral
        turn = [slope / square * x - g for g, x in zip(own, u, strict=True)]
        result = [rho, -slope / square, *turn, *[-rho * g for row in rows for g in row]]
        return [x.mid() for x in result]

    def scales(self, s: arb) -> np.ndarray:
        return np.ones(2 + self.d * self.n)

    def difference(self, s: arb) -> arb:
        return arb(10) ** -60


def death(teacher, t, weights, dead, run):
    """Death time, limit direction u, rate gamma and the other weights at the death."""
    system = Collapse(weights.nrows(), teacher, dead)
    y = system.state(t, weights)
    bottom = -70 * arb(10).log()
    _, y, _ = integrate(system, y, arb(0), arb(10) ** 6, run, until=lambda y: y[1] < bottom)
    gamma = -system.rhs(arb(0), y)[1]
    return (y[0] + y[1].exp() / gamma).mid(), y[2 : 2 + system.d], gamma, system.others(y)


def slope_at_zero(u, weights: arb_mat, teacher):
    """k(u) = sum_j K(u, w_j) - K(u, v) for |u| = 1, and its gradient on the sphere."""
    point = arb_mat([u, *rows_of(weights), teacher])
    norm, cos, sin, theta = angles(point)
    pi, last = arb.pi(), len(norm) - 1
    value, coefficient = arb(0), [arb(0)] * (last + 1)
    for j in range(1, last + 1):
        sign = -1 if j == last else 1
        value += sign * norm[j] * (sin[0][j] + (pi - theta[0][j]) * cos[0][j]) / (2 * pi)
        coefficient[0] += sign * norm[j] * sin[0][j] / (2 * pi)
        coefficient[j] = sign * (pi - theta[0][j]) / (2 * pi)
    slope = (arb_mat([coefficient]) * point).entries()
    slope = [g - value * x / norm[0] for g, x in zip(slope, u, strict=True)]
    return (norm[0] * value).mid() / norm[0], slope


def polar_minimum(weights: arb_mat, teacher, pole: int, starts: int = 12):
    """Best and worst of the local minima of k found near u = pole * e1 (teacher along e1).

    Search over z in R^(d-1), u ~ (pole, delta z), delta = largest angle of a living neuron:
    late in the flow k(u) is of order sin^2(angle to v) / t^2, so its minima sit in caps of
    that size.  Multiprecision k, divided by delta^3; BFGS from random |z| = 0.1 .. 100.
    Returns (k best, k worst, u best, gradient at best).
    """
    rows = to_double(weights)
    delta = arb(float((np.linalg.norm(rows[:, 1:], axis=1) / np.abs(rows[:, 0])).max()))
    rng, answers = np.random.default_rng(0), []

    def direction(z):
        u = [arb(pole), *[delta * arb(float(x)) for x in z]]
        length = sum((x * x for x in u), arb(0)).sqrt()
        return [(x / length).mid() for x in u], length

    def objective(z):
        u, length = direction(z)
        value, slope = slope_at_zero(u, weights, teacher)
        slope = [float((x / length / delta**2).mid()) for x in slope[1:]]
        return float((value / delta**3).mid()), np.array(slope)

    for _ in range(starts):
        guess = rng.standard_normal(len(teacher) - 1) * 10 ** rng.uniform(-1, 2)
        answers.append(
            minimize(
                objective, guess, jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 500}
            )
        )
    answers.sort(key=lambda answer: answer.fun)
    scale = float((delta**3).mid())
    return (
        answers[0].fun * scale,
        answers[-1].fun * scale,
        direction(answers[0].x)[0],
        float(np.abs(answers[0].jac).max()),
    )


def smallest_ratio(weights: arb_mat, teacher, samples: int = 4000) -> float:
    """Smallest k(u) / sin^2(angle(u, e1)) over random directions of all sizes of angle."""
    rng, smallest = np.random.default_rng(0), math.inf
    for k in range(samples):
        x = rng.standard_normal(len(teacher))
        x[1:] *= 10 ** rng.uniform(-3, 0) if k % 2 else 1
        x /= np.linalg.norm(x)
        value = slope_at_zero([arb(float(c)) for c in x], weights, teacher)[0]
        smallest = min(smallest, float(value.mid()) / (x[1:] @ x[1:]))
    return smallest


# ---------------------------------------------------------------- cases


def decades(last: int) -> list[str]:
    return [str(10**k) for k in range(last + 1)]


def unit_teacher(d: int) -> list[float]:
    return [1.0] + [0.0] * (d - 1)


def gaussian(sigma: float, seed: int, n: int, d: int) -> list[list[float]]:
    return (sigma * np.random.default_rng(seed).standard_normal((n, d))).tolist()


def entry(teacher, w0, times, note) -> dict:
    """The common head of a case in the JSON file."""
    return {
        "n": len(w0),
        "d": len(teacher),
        "teacher": list(teacher),
        "w0": w0,
        "provenance": note,
        "t": list(times),
    }


def text(x: arb, digits: int) -> str:
    return x.mid().str(digits, radius=False)


def agreement(a: arb, b: arb) -> float:
    """Agreeing decimal digits, -log10 |a/b - 1| (at most 99)."""
    gap = abs((a / b - 1).mid())
    return 99.0 if gap == 0 else min(99.0, round(-float(gap.log().mid()) / math.log(10), 1))


def largest_gap(a: arb_mat, b: arb_mat) -> arb:
    return max(abs(x.mid()) for x in (a - b).entries())


def record(case: dict, coarse, fine) -> dict:
    """Add losses, agreeing digits and (up to t = 1e12) weights of two runs to ``case``."""
    case["loss"] = [text(x[1], LOSS_DIGITS) for x in fine]
    case["agreeing_digits"] = [agreement(a[1], b[1]) for a, b in zip(coarse, fine, strict=True)]
    kept = [k for k, t in enumerate(case["t"]) if int(t) <= 10**12]
    case["w"] = [
        [[text(x, WEIGHT_DIGITS) for x in row] for row in rows_of(fine[k][0])] for k in kept
    ]
    gaps = [largest_gap(coarse[k][0], fine[k][0]) for k in kept]
    case["w_agreeing_decimals"] = [
        99.0 if g == 0 else round(-float(g.log().mid()) / math.log(10), 1) for g in gaps
    ]
    return case


def solver_note() -> str:
    runs = ", ".join(f"{run['stages']} stages / tail {run['tail']:.0e}" for run in RUNS)
    return (
        f"Radau IIA collocation in ln(1+t), textbook formulas, 150 + 5 log10(t) working "
        f"digits (python-flint {flint_version}); two runs: {runs}; values of the second"
    )


def decade_digits(t: str) -> int:
    return digits_for(math.log10(float(t)))


def solver_case(teacher, w0, last: int) -> dict:
    """Generic case: two runs of the solver, outputs t = 1, 10, .., 10^last."""
    times, results = decades(last), []
    for run in RUNS:
        ctx.dps = digits_for(last)
        flow = make_flow(Flow, len(w0), teacher)
        results.append(follow(flow, exact(w0), arb(0), times, run, decade_digits))
    ctx.dps = digits_for(last)
    return record(entry(teacher, w0, times, solver_note()), *results)


EXPONENTIAL_TIMES = ("1", "10", "30", "50", "100", "200")
EXPONENTIAL_DIGITS = 480


def closed_parallel(teacher, w0, times) -> list[arb]:
    """w_i = h_i v, h_i > 0: L = 1/4 |v|^2 H^2, H(t) = (sum h_i - 1) exp(-n t/2)."""
    square = sum((arb(x) * arb(x) for x in teacher), arb(0))
    first = next(k for k, x in enumerate(teacher) if x)
    excess = sum((arb(row[first]) for row in w0), arb(0)) / arb(teacher[first]) - 1
    return [square * (excess * (-len(w0) * arb(t) / 2).exp()) ** 2 / 4 for t in times]


def closed_single(teacher, w0, times) -> list[arb]:
    """n equal neurons: u = n w follows the flow of one neuron at time n t.

    cot th = (D e^(t/2) - C)/a and |u| = (pi - th) e^(-t/2)/(D sin th), with a = pi/|v|,
    D = (pi - th0)/(|u0| sin th0), C = D - a cot th0; L = |u|^2/4 + |v|^2/4 - K(u, v).
    """
    n, pi = len(w0), arb.pi()
    start = [n * x for x in exact(w0).entries()[: len(teacher)]]
    norm, cos, sin, theta = angles(arb_mat([start, [arb(x) for x in teacher]]))
    size, cot, slope = norm[1], cos[0][1] / sin[0][1], pi / norm[1]
    d = (pi - theta[0][1]) / (norm[0] * sin[0][1])
    c, losses = d - slope * cot, []
    for t in times:
        grow = (n * arb(t) / 2).exp()
        th = arb.atan2(slope, d * grow - c)
        length = (pi - th) / (grow * d * th.sin())
        kernel = length * size * (th.sin() + (pi - th) * th.cos()) / (2 * pi)
        losses.append((length**2 + size**2) / 4 - kernel)
    return losses


def closed_case(teacher, w0, formula) -> dict:
    """Closed form, compared at every output with the second run of the solver."""
    ctx.dps = EXPONENTIAL_DIGITS
    times = EXPONENTIAL_TIMES
    flow = make_flow(ExponentialFlow, len(w0), teacher)
    fine = follow(flow, exact(w0), arb(0), times, RUNS[-1], lambda t: EXPONENTIAL_DIGITS)
    losses = formula(teacher, w0, times)
    note = f"closed form ({formula.__name__}); agreeing_digits: closed form against the solver"
    case = entry(teacher, w0, times, note)
    case["loss"] = [text(x, LOSS_DIGITS) for x in losses]
    case["agreeing_digits"] = [agreement(a[1], b) for a, b in zip(fine, losses, strict=True)]
    return case


DEAD_TIMES = ("20", "100", "10000", "1000000", "1000000000000")


def death_case(teacher, w0, dead: int, before: list[str], last: int) -> dict:
    """Flow to ``before[-1]``, death of neuron ``dead``, flow of the others to 10^last."""
    d, alive = len(teacher), [k for k in range(len(w0)) if k != dead]
    after = [t for t in ["20", *decades(last)] if int(t) > int(before[-1])]
    results, deaths = [], []
    for run in RUNS:
        ctx.dps = digits_for(last)
        flow = make_flow(Flow, len(w0), teacher)
        head = follow(flow, exact(w0), arb(0), before, run, decade_digits)
        deaths.append(death(flow.original, arb(before[-1]), head[-1][0], dead, run))
        rest = make_flow(Flow, len(alive), teacher)
        clock = (1 + deaths[-1][0]).log().mid()
        tail = follow(rest, deaths[-1][3], clock, after, run, decade_digits)
        padded = []
        for weights, value in tail:
            rows = rows_of(weights)
            rows.insert(dead, [arb(0)] * d)
            padded.append((arb_mat(rows), value))
        results.append(head + padded)
    case = record(entry(teacher, w0, [*before, *after], solver_note()), *results)
    (t_coarse, *_), (t_fine, u, gamma, others) = deaths
    case["death"] = {
        "neuron": dead,
        "t": text(t_fine, LOSS_DIGITS),
        "agreeing_digits": agreement(t_coarse, t_fine),
        "u": [text(x, 30) for x in u],
        "rate": text(gamma, 30),
    }
    states = {"death": others} | {
        t: arb_mat([rows_of(results[-1][case["t"].index(t)][0])[k] for k in alive])
        for t in DEAD_TIMES
    }
    case["dead_neuron_slopes"] = {t: dead_slopes(w, teacher) for t, w in states.items()}
    return case


def dead_slopes(weights: arb_mat, teacher) -> dict:
    """k(u) of the living neurons: its minima near v and -v, and at their own directions.

    gamma_min is the smallest value found; a dead neuron stays dead if it is positive.
    """
    teacher = [arb(x) for x in teacher]
    directions = [[x / angles(arb_mat([row]))[0][0] for x in row] for row in rows_of(weights)]
    at_living = [slope_at_zero(u, weights, teacher)[0] for u in directions]
    result = {"k_at_living": [text(x, 20) for x in at_living]}
    for name, pole in (("near_v", 1), ("near_minus_v", -1)):
        best, worst, u, slope = polar_minimum(weights, teacher, pole)
        result[name] = {
            "k": best,
            "worst_start": worst,
            "scaled_gradient": slope,
            "u": [float(x) for x in u],
        }
    result["gamma_min"] = min(result["near_v"]["k"], result["near_minus_v"]["k"])
    result["sampled_min_k_over_sin2"] = smallest_ratio(weights, teacher)
    return result


E4 = unit_teacher(4)
CASES = {
    "toy-1": lambda: solver_case([1.0, 0.0], [[0.3, 0.2], [0.3, -0.2]], 40),
    "toy-1b": lambda: solver_case([1.0, 0.0], [[0.1, 0.6], [0.1, -0.6]], 12),
    "toy-2": lambda: closed_case(
        unit_teacher(3), [[h, 0.0, 0.0] for h in (0.125, 0.25, 0.0625)], closed_parallel
    ),
    "toy-3": lambda: closed_case(unit_teacher(3), [[0.2, 0.3, -0.1]] * 3, closed_single),
    "toy-3-n1": lambda: closed_case(unit_teacher(3), [[0.2, 0.3, -0.1]], closed_single),
    "random-n1": lambda: closed_case(unit_teacher(3), gaussian(0.1, 1, 1, 3), closed_single),
    "random-n2": lambda: solver_case(E4, gaussian(0.1, 0, 2, 4), 40),
    "random-n2-teacher": lambda: solver_case([0.0, 1.5, 2.0, 0.0], gaussian(0.5, 3, 2, 4), 40),
    "random-n3": lambda: solver_case(unit_teacher(5), gaussian(0.1, 0, 3, 5), 40),
    "death-n4": lambda: death_case(unit_teacher(6), gaussian(0.1, 0, 4, 6), 2, ["1", "10"], 12),
    "random-n4": lambda: solver_case(unit_teacher(6), gaussian(0.01, 0, 4, 6), 40),
}


def save(name: str, case: dict) -> None:
    """Merge one case into the JSON file."""
    data = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    data[name] = case
    ordered = {key: data[key] for key in [*CASES, *data] if key in data}
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(ordered, indent=1) + "\n")


def main() -> None:
    global VERBOSE
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", nargs="*", default=list(CASES), help=", ".join(CASES))
    parser.add_argument("--verbose", action="store_true", help="print every step")
    arguments = parser.parse_args()
    VERBOSE = arguments.verbose
    for name in arguments.case:
        begin = time.perf_counter()
        case = CASES[name]()
        save(name, case)
        digits = case["agreeing_digits"]
        print(
            f"{name}: {time.perf_counter() - begin:.1f} s, {min(digits)} digits or more", flush=True
        )


if __name__ == "__main__":
    main()
