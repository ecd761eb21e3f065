"""Pair functions as polynomials for compiled code, generated from the derived expressions.

With z = sin²(θ/2), so that ‖ā − b̄‖² = 4z, every pair function is √z or √z³ times a function that is
analytic on 0 ≤ z ≤ ½; a Chebyshev fit of degree 18 carries it to double precision.
`python -m symbolic.polynomials FILE` writes the coefficients; a test holds the file against this
generator.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mpmath
import sympy as sp

from symbolic import pairs
from symbolic.gaussian import THETA
from symbolic.lower import lower

DEGREE = 18
DIGITS = 40
NEGLIGIBLE = 1e-17


def coefficients(expression: sp.Expr, power: int) -> list[float]:
    """Monomial coefficients p_0 … p_18 of 2π expression(θ)/√z^power on 0 ≤ z ≤ ½."""
    context = mpmath.MPContext()
    context.dps = DIGITS
    (function,) = (lower([expression], [THETA], "mpmath", context),)

    def reduced(z: mpmath.mpf) -> mpmath.mpf:
        root = context.sqrt(z)
        return 2 * context.pi * function(2 * context.asin(root))[0] / root**power

    half, smallest = context.mpf(1) / 2, context.mpf(10) ** -30
    fit = context.chebyfit(reduced, [smallest, half], DEGREE + 1)
    return [float(c) for c in reversed(fit)]


def reach(polynomial: list[float]) -> list[float]:
    """z up to which the terms beyond the k-th (k = 0, 1, …) change nothing in double precision."""
    first = abs(polynomial[0])
    return [(NEGLIGIBLE * first / abs(c)) ** (1 / k) for k, c in enumerate(polynomial) if k > 0]


def source() -> str:
    """The Python module that compiled code reads."""
    u, q = pairs.pair_gradient().result
    forms = {"ANGLE": (q, 1), "DEFECT": (u, 3), "REMAINDER": (pairs.REMAINDER, 3)}
    names = {"ANGLE": "2π q/√z", "DEFECT": "2π u/√z³", "REMAINDER": "2π R/√z³"}
    lines = [
        '"""Written by `python -m symbolic.polynomials`; do not edit.',
        "",
        "Polynomials in z = sin²(θ/2) on [0, ½]; up to z = REACH[k], k + 1 terms suffice.",
        '"""',
        "",
        "import numpy as np",
    ]
    for name, (expression, power) in forms.items():
        values = coefficients(expression, power)
        lines += ["", f"# {names[name]}", *_array(name, values)]
        if name == "DEFECT":
            lines += _array("REACH", reach(values))
    return "\n".join(lines) + "\n"


def _array(name: str, values: list[float]) -> list[str]:
    return [f"{name} = np.array(", "    [", *(f"        {v!r}," for v in values), "    ]", ")"]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(source(), encoding="utf-8")
