"""E (a·x)^m (b·x)^n, by the generating function of the Gaussian (Isserlis' theorem)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import factorial

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.gram import WEDGE, C, P, Q

DEGREE_A, DEGREE_B = sp.symbols("m n", integer=True, nonnegative=True)
PAIRS = sp.Symbol("i", integer=True, nonnegative=True)
S, T, X, Y = sp.symbols("s t x y", real=True)
SHOWN = ((1, 1), (0, 2), (2, 2), (1, 3), (3, 3), (4, 4))


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
        powers = {S: m, T: n}
        rule = "m! n! times the coefficient of sᵐtⁿ in the product of the three series"
        product = factorial(m) * factorial(n) * _coefficient(m, n)
        steps.append(Step(f"coefficient of degrees {m}, {n}", rule, product, value))
        rule = "u = √p x, v = (c x + √(pq − c²) y)/√p with independent x, y: E x² = 1, E x⁴ = 3, …"
        steps.append(Step(f"Gaussian integral of degrees {m}, {n}", rule, _integral(powers), value))
    return steps, moment


def _coefficient(m: int, n: int) -> sp.Expr:
    """Of sᵐtⁿ in exp(s²p/2) exp(stc) exp(t²q/2), from the truncated series."""
    order = (m + n) // 2 + 1
    whole = [(S**2 * P / 2), S * T * C, T**2 * Q / 2]
    series = [sum(x**k / factorial(k) for k in range(order)) for x in whole]
    return sp.Poly(sp.expand(series[0] * series[1] * series[2]), S, T).coeff_monomial(S**m * T**n)


def _integral(powers: dict[sp.Symbol, int]) -> sp.Expr:
    """The moment in Cartesian coordinates of the plane of a and b."""
    u, v = sp.sqrt(P) * X, (C * X + WEDGE * Y) / sp.sqrt(P)
    form = sp.Poly(sp.expand(u ** powers[S] * v ** powers[T]), X, Y)
    return sp.Add(*(k * gaussian_moment(i) * gaussian_moment(j) for (i, j), k in form.terms()))


def gaussian_moment(k: int) -> int:
    """E z^k = (k − 1)!! for even k, 0 for odd."""
    return 0 if k % 2 else int(sp.factorial2(k - 1))


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
