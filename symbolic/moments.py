"""E (a·x)^m (b·x)^n, by the generating function of the Gaussian (Isserlis' theorem)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.gram import WEDGE, C, P, Q

DEGREE_A, DEGREE_B = sp.symbols("m n", integer=True, nonnegative=True)
PAIRS = sp.Symbol("i", integer=True, nonnegative=True)
S, T, X, Y = sp.symbols("s t x y", real=True)
SHOWN = ((1, 1), (0, 2), (2, 2), (1, 3), (3, 3), (4, 4))
INTEGRATED = ((1, 1), (2, 2))


@derivation(
    "monomial-kernel",
    "Moments of two Gaussians: E (a·x)^m (b·x)^n for x ~ N(0, I), m ≤ n, n − m even",
    "Isserlis 1918",
)
def monomial_kernel() -> Derived:
    """m! n! Σ_i (p/2)^i/i! · c^(m−2i)/(m−2i)! · (q/2)^l/l!, l = i + (n − m)/2."""
    cross, other = DEGREE_A - 2 * PAIRS, PAIRS + (DEGREE_B - DEGREE_A) / 2
    term = (P / 2) ** PAIRS / sp.factorial(PAIRS) * C**cross / sp.factorial(cross)
    term *= (Q / 2) ** other / sp.factorial(other)
    term *= sp.factorial(DEGREE_A) * sp.factorial(DEGREE_B)
    moment = sp.Sum(term, (PAIRS, 0, sp.floor(DEGREE_A / 2)))

    density = sp.exp(-(X**2) / 2) / sp.sqrt(2 * sp.pi)
    line = sp.Integral(sp.exp(S * X) * density, (X, -sp.oo, sp.oo))
    square = S**2 * P + 2 * S * T * C + T**2 * Q
    factors = sp.exp(S**2 * P / 2) * sp.exp(S * T * C) * sp.exp(T**2 * Q / 2)
    steps = [
        Step("generating function in one variable", "complete the square", line, sp.exp(S**2 / 2)),
        Step(
            "generating function",
            "su + tv is N(0, ‖s a + t b‖²): E e^{su + tv} has three factors, each a power series",
            sp.exp(square / 2),
            factors,
        ),
    ]
    for m, n in SHOWN:
        value = moment.subs({DEGREE_A: m, DEGREE_B: n}).doit()
        derivative = sp.Derivative(sp.exp(square / 2), *((x, k) for x, k in ((S, m), (T, n)) if k))
        rule = "derivatives of the generating function at s = t = 0, against the result below"
        name = f"E (a·x)^{m} (b·x)^{n}"
        steps.append(Step(name, rule, sp.Subs(derivative, (S, T), (0, 0)), value))
    for m, n in INTEGRATED:
        value = moment.subs({DEGREE_A: m, DEGREE_B: n}).doit()
        rule = "directly: u = √p x, v = (c x + w y)/√p, x and y independent, w² = pq − c²"
        steps.append(Step(f"integral of uᵐ vⁿ, m = {m}, n = {n}", rule, _integral(m, n), value))
    return steps, moment


def _integral(m: int, n: int) -> sp.Expr:
    """The moment in Cartesian coordinates of the plane of a and b."""
    u, v = sp.sqrt(P) * X, (C * X + WEDGE * Y) / sp.sqrt(P)
    density = sp.exp(-(X**2 + Y**2) / 2) / (2 * sp.pi)
    return sp.Integral(u**m * v**n * density, (X, -sp.oo, sp.oo), (Y, -sp.oo, sp.oo))


def polynomial_kernel(coefficients: Sequence[Fraction]) -> sp.Expr:
    """K of Σ α_k z^k, term by term from the derived moments."""
    moment = monomial_kernel().result
    exact = [sp.Rational(x.numerator, x.denominator) for x in coefficients]
    total = sp.S.Zero
    for m, x in enumerate(exact):
        for n in range(m, len(exact), 2):
            if x * exact[n] != 0:
                one = moment.subs({DEGREE_A: m, DEGREE_B: n}).doit()
                swapped = one.subs({P: Q, Q: P}, simultaneous=True) if n > m else sp.S.Zero
                total += x * exact[n] * (one + swapped)
    return sp.expand(total)
