"""Shared by the tests: the 50-digit reference flows and the textbook formulas in many digits."""

import json
import signal
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
from hypothesis import settings

import flowkit

DATA = Path(__file__).parent / "data" / "reference_flows.json"

settings.register_profile("reproducible", max_examples=25, deadline=None, derandomize=True)
settings.load_profile("reproducible")


class Textbook:
    """L = ½ α‖r‖² + (1 − α)² · ½ Σ c_a c_b K(a, b), term by term as printed, in many digits.

    Nothing is done against cancellation: the digits have to absorb it.
    """

    def __init__(self, teacher, alpha=0.0, digits=150):
        self.mp = mpmath.MPContext()
        self.mp.dps = digits
        self.teacher = self.rows(np.atleast_2d(np.asarray(teacher, dtype=float)))
        self.alpha = self.mp.mpf(alpha)

    def rows(self, W):
        return [[self.mp.mpf(x) for x in row] for row in W]

    def dot(self, a, b):
        return self.mp.fsum(x * y for x, y in zip(a, b, strict=True))

    def norm(self, a):
        return self.mp.sqrt(self.dot(a, a))

    def angle(self, a, b):
        cosine = self.dot(a, b) / (self.norm(a) * self.norm(b))
        return self.mp.acos(max(self.mp.mpf(-1), min(self.mp.mpf(1), cosine)))

    def kernel(self, a, b):
        if not any(a) or not any(b):
            return self.mp.mpf(0)
        mp, theta = self.mp, self.angle(a, b)
        value = mp.sin(theta) + (mp.pi - theta) * mp.cos(theta)
        return self.norm(a) * self.norm(b) * value / (2 * mp.pi)

    def residual(self, students):
        columns = zip(*students, *[[-x for x in v] for v in self.teacher], strict=True)
        return [self.mp.fsum(column) for column in columns]

    def loss(self, W):
        students = self.rows(W)
        signed = [(w, 1) for w in students] + [(v, -1) for v in self.teacher]
        relu = self.mp.mpf(0)
        for i, (a, c) in enumerate(signed):
            relu += self.kernel(a, a) / 2
            relu += sum(c * e * self.kernel(a, b) for b, e in signed[:i])
        r = self.residual(students)
        return self.alpha * self.dot(r, r) / 2 + (1 - self.alpha) ** 2 * relu

    def gradient(self, W):
        """½ r + (1/2π) [(Σ_b c_b ‖b‖ sin θ_ib) w̄_i − Σ_b c_b θ_ib b], then the leaky weights."""
        students = self.rows(W)
        r, mp = self.residual(students), self.mp
        signed = [(w, 1) for w in students] + [(v, -1) for v in self.teacher]
        result = []
        for i, w in enumerate(students):
            row = [x / 2 for x in r]
            for j, (b, c) in enumerate(signed):
                if j == i:
                    continue
                theta = self.angle(w, b)
                along = c * self.norm(b) * mp.sin(theta) / self.norm(w) / (2 * mp.pi)
                other = -c * theta / (2 * mp.pi)
                row = [x + along * y + other * z for x, y, z in zip(row, w, b, strict=True)]
            leaky = (1 - self.alpha) ** 2
            result.append([self.alpha * x + leaky * y for x, y in zip(r, row, strict=True)])
        return np.array(result, dtype=object)

    def hessian(self, W, step=1e-30):
        """Central differences of the gradient; their error is far below a double's rounding."""
        students = np.array(self.rows(W), dtype=object)
        h, columns = self.mp.mpf(step), []
        for index in np.ndindex(students.shape):
            plus, minus = students.copy(), students.copy()
            plus[index] += h
            minus[index] -= h
            columns.append((self.gradient(plus) - self.gradient(minus)).ravel() / (2 * h))
        return np.array(columns, dtype=object)

    def error(self, value, truth):
        """Relative error; of an array: of its Euclidean norm."""
        value, truth = np.array(value, dtype=object), np.array(truth, dtype=object)
        gap = [self.mp.convert(x) - y for x, y in zip(value.ravel(), truth.ravel(), strict=True)]
        size = self.norm(list(truth.ravel()))
        distance = self.norm(gap)
        return distance if size == 0 else distance / size


def textbook_field(teacher):
    """−∇L of the ReLU on (n, d) arrays in plain double precision, as printed."""
    teacher = np.atleast_2d(np.asarray(teacher, dtype=float))

    def field(W):
        vectors = np.vstack([W, teacher])
        signs = np.repeat([1.0, -1.0], [len(W), len(teacher)])
        norms = np.linalg.norm(vectors, axis=1)
        units = vectors / norms[:, None]
        theta = np.arccos(np.clip(units[: len(W)] @ units.T, -1, 1))
        np.fill_diagonal(theta, 0.0)
        radial = (np.sin(theta) @ (signs * norms))[:, None] * units[: len(W)]
        pull = radial - (theta * signs) @ vectors
        return -(signs @ vectors / 2 + pull / (2 * np.pi))

    return field


@pytest.fixture(scope="session")
def textbook():
    return Textbook


@pytest.fixture(scope="session")
def explicit_field():
    return textbook_field


@pytest.fixture(scope="session")
def references():
    """name → teacher, w0, t (floats), loss (mpf), w (floats, at the first len(w) times), death."""
    context = mpmath.MPContext()
    context.dps = 60
    cases = {}
    for name, raw in json.loads(DATA.read_text(encoding="utf-8")).items():
        case = SimpleNamespace(teacher=np.array(raw["teacher"]), w0=np.array(raw["w0"]))
        case.t = np.array([float(t) for t in raw["t"]])
        case.loss = [context.mpf(x) for x in raw["loss"]]
        case.w = np.array(raw.get("w", []), dtype=float)
        case.death = raw.get("death")
        cases[name] = case
    return cases


@pytest.fixture(scope="session")
def reference_flow(references):
    """The flow of a reference case to its last time, each computed once."""
    done = {}

    def run(name, rtol=1e-10):
        if (name, rtol) not in done:
            case = references[name]
            problem = flowkit.TeacherStudent(case.teacher)
            done[name, rtol] = flowkit.integrate(problem, case.w0, case.t[-1], rtol=rtol)
        return done[name, rtol]

    return run


@pytest.fixture(scope="session")
def loss_errors(references, reference_flow):
    """Relative errors of the loss at every reference time of a case."""

    def errors(name, rtol=1e-10):
        case, values = references[name], reference_flow(name, rtol).loss_at(references[name].t)
        pairs = zip(values, case.loss, strict=True)
        return np.array([abs(float(float(x) / truth - 1)) for x, truth in pairs])

    return errors


@pytest.fixture(scope="session")
def time_limit():
    """`with time_limit(seconds):` turns a run that hangs into a failure, where there are alarms."""

    @contextmanager
    def limit(seconds):
        def late(*_):
            raise TimeoutError(f"still running after {seconds} s")

        if not hasattr(signal, "SIGALRM"):
            yield
            return
        before = signal.signal(signal.SIGALRM, late)
        signal.alarm(seconds)
        try:
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    return limit
