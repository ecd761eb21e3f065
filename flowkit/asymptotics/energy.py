"""F and F₄ of the slow manifold, their derivatives, in doubles or in balls.

Students of a group are equal and stay equal: one row stands for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from flowkit.problems.exact import ball

Array = np.ndarray
Number = Any  # float or arb


@dataclass(frozen=True)
class Energy:
    """`symbolic.profile.ProfileExpressions` in numbers, N groups of equal students.

    Attributes
    ----------
    h : (N,) floats or arb
        Parts of one student along v, in units of ‖v‖.
    sizes : (N,) of int
        Students of a group.
    mean, kink_weight : Fraction
        Weights of the activation.

    Notes
    -----
    β (N, D) are parts across v of one student; arrays of arb are evaluated at ``flint.ctx.prec``.
    """

    h: Array
    sizes: Array
    mean: Any
    kink_weight: Any

    @property
    def exact(self) -> bool:
        """Whether numbers are balls."""
        return self.h.dtype == object

    @property
    def count(self) -> int:
        """n, all students."""
        return int(self.sizes.sum())

    def value(self, beta: Array) -> Number:
        """F(β)."""
        pairs = self._pairs(beta)
        # The teacher is at 0: its own row adds what the sum over students leaves out.
        rows = (pairs.form * self._weights).sum(axis=1)
        own = (pairs.form[:, -1] * self._weights[:-1]).sum()
        return self._kink * ((rows * self._weights[:-1]).sum() - own) / 2

    def gradient(self, beta: Array) -> Array:
        """∂F/∂b of one student of each group, (N, D)."""
        pairs = self._pairs(beta)
        pull = pairs.slope * self._weights
        return np.asarray(self._kink * (pull[:, :, None] * pairs.difference).sum(axis=1))

    def force(self, beta: Array) -> Array:
        """g = Σ_i ∂F/∂b_i over all students, (D,)."""
        return np.asarray((self.sizes[:, None] * self.gradient(beta)).sum(axis=0))

    def fourth(self, beta: Array) -> Number:
        """F₄(β)."""
        g = self.force(beta)
        form = fourth_form("arb" if self.exact else "numpy")
        return form((g * g).sum(), self.number(self.count), self.number(self.mean))[0]

    def slope_along(self, beta: Array) -> Array:
        """∂F/∂h of one student of each group, at fixed β, (N,)."""
        pairs = self._pairs(beta)
        inner = (pairs.difference * (beta / self.h[:, None])[:, None, :]).sum(axis=2)
        return np.asarray(
            self._kink * ((pairs.form - pairs.slope * inner) * self._weights).sum(axis=1)
        )

    def hessian(self, beta: Array) -> Array:
        """Second derivatives by √m_g β_g, (N D, N D); in doubles.

        The gradient flow of the students is that of these coordinates in the Euclidean metric.
        """
        pairs, (n, dim) = self._pairs(beta), beta.shape
        unit = pairs.difference / np.where(pairs.rho > 0, pairs.rho, 1.0)[:, :, None]
        curved = pairs.radial[:, :, None, None] * unit[:, :, :, None] * unit[:, :, None, :]
        curved += pairs.slope[:, :, None, None] * np.eye(dim)
        blocks = np.zeros((n, dim, n, dim))
        root = np.sqrt(self.sizes.astype(float))
        own = np.einsum("b,abpq->apq", self._weights, curved) / self.h[:, None, None]
        for a in range(n):
            blocks[a] = -np.einsum("b,bpq->pbq", root[a] * root, curved[a, :-1])
            blocks[a, :, a] += own[a]
        return self._kink * blocks.reshape(n * dim, n * dim)

    def _pairs(self, beta: Array) -> Pairs:
        phi = beta / self.h[:, None]
        everything = np.vstack([phi, 0 * phi[:1]])
        difference = phi[:, None, :] - everything[None]
        square = (difference * difference).sum(axis=2)
        root = np.frompyfunc(lambda x: x.mid().sqrt().mid(), 1, 1) if self.exact else np.sqrt
        rho = root(square)
        return Pairs(difference, rho, *pair_forms("arb" if self.exact else "numpy")(rho))

    @cached_property
    def _weights(self) -> Array:
        """c: m h of the groups, −1 of the teacher."""
        return np.append(self.sizes * self.h, self.number(-1))

    @property
    def _kink(self) -> Number:
        return self.number(self.kink_weight)

    def number(self, x: Any) -> Number:
        """A rational, or a float, as a number of this arithmetic."""
        if not self.exact:
            return float(x)
        return arb(x) if isinstance(x, float) else ball(x)


class Pairs(NamedTuple):
    """Of groups (N) and groups and teacher (N + 1): φ_a − φ_b, its norm, and the pair functions."""

    difference: Array
    rho: Array
    form: Array
    slope: Array
    radial: Array


@cache
def fourth_form(arithmetic: str) -> Callable[..., list[Any]]:
    """`symbolic.profile.FOURTH` of ‖g‖², n and mean."""
    from symbolic.lower import lower
    from symbolic.profile import FOURTH, SQUARE
    from symbolic.toy_cases import MU, N

    return lower([FOURTH], [SQUARE, N, MU], arithmetic)


@cache
def pair_forms(arithmetic: str) -> Callable[[Array], tuple[Array, Array, Array]]:
    """`symbolic.profile.pair_forms` on arrays."""
    from symbolic.lower import lower
    from symbolic.profile import RHO
    from symbolic.profile import pair_forms as source

    lowered = lower(source(), [RHO], arithmetic)
    if arithmetic == "numpy":
        return lambda rho: tuple(lowered(rho))
    return np.frompyfunc(lambda x: tuple(map(arb, lowered(x))), 1, 3)
