"""The closed forms that everything rests on, against derivation and quadrature."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from flowkit.problems.teacher_student import TeacherStudent
from flowkit.verification.claim import Claim, Evidence, Measured, Prediction, Profile
from flowkit.verification.groups import CLOSED_FORMS

Array = np.ndarray


def circle_quadrature(students: Array, teachers: Array) -> tuple[float, Array, float]:
    """Loss, gradient and their error by quadrature over the circle, d = 2, no kernel used.

    f(x) = Σ[w_i·x]₊ − Σ[v_k·x]₊ is homogeneous and ∫ρ³e^{−ρ²/2}dρ = 2, hence L = ∫f(φ)²dφ/2π and
    ∂L/∂w_i = ∫f(φ) 1[w_i·x > 0] x dφ/π, smooth between the zeros of w_i·x and v_k·x.
    """
    from scipy.integrate import quad

    def residual(phi: float) -> tuple[Array, float]:
        x = np.array([np.cos(phi), np.sin(phi)])
        return x, float(np.maximum(students @ x, 0).sum() - np.maximum(teachers @ x, 0).sum())

    rows = np.vstack([students, teachers])
    kinks = np.arctan2(rows[:, 1], rows[:, 0])[:, None] + np.pi / 2 * np.array([-1, 1])
    ends = np.unique(np.concatenate([(kinks % (2 * np.pi)).ravel(), [0, 2 * np.pi]]))

    def integral(function: Any) -> tuple[float, float]:
        parts = [quad(function, a, b, epsabs=1e-14, epsrel=1e-13) for a, b in pairwise(ends)]
        return sum(p[0] for p in parts), sum(p[1] for p in parts)

    loss, error = integral(lambda phi: residual(phi)[1] ** 2 / (2 * np.pi))
    gradient = np.zeros_like(students)
    for i, w in enumerate(students):
        for p in range(2):

            def integrand(phi: float, w: Array = w, p: int = p) -> float:
                x, f = residual(phi)
                return float(f * (w @ x > 0) * x[p] / np.pi)

            gradient[i, p], part = integral(integrand)
            error += part
    return loss, gradient, error


def measure_quadrature(profile: Profile) -> Evidence:
    """Largest relative deviation of loss and gradient over random students and teachers."""
    loss_gap = gradient_gap = error = 0.0
    points = []
    for seed in range(2 + 3 * len(profile.seeds)):
        draw = np.random.default_rng(seed)
        teachers = draw.standard_normal((1 + seed % 2, 2))
        students = draw.standard_normal((1 + seed % 4, 2))
        problem = TeacherStudent(teachers)
        loss, gradient, part = circle_quadrature(students, teachers)
        norm = float(np.linalg.norm(gradient))
        gap = abs(problem.loss(students) / loss - 1)
        points.append((loss, gap))
        loss_gap = max(loss_gap, gap)
        distance = float(np.linalg.norm(problem.gradient(students) - gradient))
        gradient_gap = max(gradient_gap, distance / norm)
        error = max(error, part / min(loss, norm))
    values = {"loss": Measured(loss_gap, error), "gradient": Measured(gradient_gap, error)}

    def draw_gaps(figure: Any) -> None:
        axes = figure.subplots()
        x, y = zip(*points, strict=True)
        axes.loglog(x, np.maximum(y, 1e-17), "o")
        axes.set(xlabel="loss L(W)", ylabel="relative deviation", ylim=(5e-18, 1e-9))
        axes.axhline(1e-11, color="0.6", linestyle="--", label="tolerance")
        axes.legend()

    drawn = "teachers (1 + seed mod 2, 2), then students (1 + seed mod 4, 2), standard_normal"
    return Evidence(values, draw_gaps, (f"{drawn}; seeds 0 to {len(points) - 1}",))


def measure_derivations(profile: Profile) -> Evidence:
    """Re-check every step of every derivation."""
    from symbolic.library import derivations

    run = "`flowkit.derive(name).check(seed=0)` for every name that `flowkit derive` lists"
    checks: list[str] = []
    try:
        for derivation in derivations():
            checks += derivation.check().values()
    except ArithmeticError as problem:
        return Evidence({"steps that fail": Measured(1.0, 0.0, str(problem))}, runs=(run,))
    note = f"{len(checks)} steps, {checks.count('exact')} decided exactly by SymPy"
    return Evidence({"steps that fail": Measured(0.0, 0.0, note)}, runs=(run,))


CLAIMS = (
    Claim(
        "relu/derivations",
        "E [a·x]₊[b·x]₊ = ‖a‖‖b‖ (sin θ + (π − θ) cos θ)/2π for x ~ N(0, I), loss, gradient and "
        "Hessian follow from it, and so does every other derivation (`flowkit derive` lists them)",
        "Cho & Saul 2009, eq. (6); Xu & Du 2023, eqs. (2), (3); each derivation names its own",
        {"steps that fail": Prediction(0.0, 0.0, text="all check")},
        measure_derivations,
        CLOSED_FORMS,
        r"E\,[a \cdot x]_+ [b \cdot x]_+ = \|a\| \|b\| "
        r"\frac{\sin\theta + (\pi - \theta)\cos\theta}{2\pi}",
        cost=16,
        flows=False,
    ),
    Claim(
        "relu/quadrature",
        "The closed forms of L(W) and ∇L(W) are the Gaussian expectations that they stand for",
        "Xu & Du 2023, eqs. (2), (3)",
        {
            "loss": Prediction(0.0, 1e-11, text="relative deviation"),
            "gradient": Prediction(0.0, 1e-11, text="relative deviation"),
        },
        measure_quadrature,
        CLOSED_FORMS,
        r"L(W) = \frac12 E \left(\sum_i [w_i \cdot x]_+ - \sum_k [v_k \cdot x]_+\right)^2",
        flows=False,
    ),
)
