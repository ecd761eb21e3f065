"""Pair kernels in Gram variables: p = a·a, c = a·b, q = b·b, and their partial derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

P, Q = sp.symbols("p q", positive=True)
C = sp.Symbol("c", real=True)
SQUARE = P * Q - C**2
WEDGE = sp.sqrt(SQUARE)  # ‖a ∧ b‖
GRAM = {P: (1, 3), Q: (1, 3), C: (-1, 1)}

# What `WEDGE` is called where it is a number of its own: it is known exactly, pq − c² cancels.
W = sp.Symbol("w", nonnegative=True)


@dataclass(frozen=True)
class Partials:
    """A kernel K(p, c, q) and its derivatives as expressions in `P`, `C`, `Q` and `W`.

    Attributes
    ----------
    value : tuple
        (K,)
    first : tuple
        (K_p, K_c, K_q)
    second : tuple
        (K_pp, K_pc, K_cc, K_pq, K_cq, K_qq)
    own : tuple
        (k, k', k'') of k(p) = K(p, p, p), in `P`.
    """

    value: tuple[sp.Expr, ...]
    first: tuple[sp.Expr, ...]
    second: tuple[sp.Expr, ...]
    own: tuple[sp.Expr, ...]


def partials(kernel: sp.Expr) -> Partials:
    """Differentiate a kernel; what is finite for parallel a and b is written as such."""
    first = [regular(sp.diff(kernel, x)) for x in (P, C, Q)]
    pairs = ((P, P), (P, C), (C, C), (P, Q), (C, Q), (Q, Q))
    second = [regular(sp.diff(kernel, x, y, simplify=False)) for x, y in pairs]
    reduced = sp.expand if kernel.is_polynomial(P, C, Q) else sp.simplify
    k = reduced(kernel.subs({C: P, Q: P}, simultaneous=True))
    own = (k, sp.diff(k, P), sp.diff(k, P, 2))
    return Partials((_named(kernel),), tuple(first), tuple(second), own)


def regular(expr: sp.Expr) -> sp.Expr:
    """The expression as α + β w with w² = pq − c²: what is finite for w = 0 is written without
    dividing by w."""
    named = _named(expr)
    inner = {f: sp.Dummy() for f in named.atoms(sp.Function) if f.has(W)}
    named = named.xreplace(inner)
    if not named.has(W):
        return named.xreplace({dummy: f for f, dummy in inner.items()})
    modulus = sp.Poly(W**2 - SQUARE, W)
    try:
        above, below = (sp.Poly(x, W).rem(modulus) for x in sp.fraction(sp.together(named)))
    except sp.PolynomialError:  # w under a root: nothing is known to cancel
        return _named(expr)
    # 1/(x + y w) = (x − y w)/(x² − y² w²)
    conjugate = sp.Poly(below.coeff_monomial(1) - below.coeff_monomial(W) * W, W)
    norm = (below * conjugate).rem(modulus).as_expr()
    above = (above * conjugate).rem(modulus)
    even, odd = (sp.factor(above.coeff_monomial(m) / norm) for m in (1, W))
    return (_named(even) + _named(odd) * W).xreplace({dummy: f for f, dummy in inner.items()})


def _named(expr: sp.Expr) -> sp.Expr:
    """w for what is a power of pq − c²."""
    if expr.is_polynomial(P, C, Q):
        return expr
    roots = expr.replace(lambda e: e.is_Pow and e.base == SQUARE, lambda e: W ** (2 * e.exp))
    return roots.subs({SQUARE: W**2, -SQUARE: -(W**2)})
