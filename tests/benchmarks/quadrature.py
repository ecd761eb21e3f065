"""Two ways to integrate a smooth activation: `python tests/benchmarks/quadrature.py`.

Tensor: N × N nodes in the plane of a and b for each pair, (u, v) = √G (x, y).
Series: N nodes for each vector, then N terms for each pair (what flowkit does).

Not a test: it prints the tables of docs/activations.md.
"""

import time

import flint
import numpy as np
import sympy as sp
from flint import arb

from flowkit import Erf, Smooth
from flowkit.problems.closed_kernel import closed_kernel
from flowkit.problems.gram import GramLoss, RoundedVectors
from flowkit.problems.quadrature import QuadratureKernel, hermite
from symbolic.lower import lower
from symbolic.smooth import Z

SIGMAS = {
    "tanh z": sp.tanh(Z),
    "softplus": sp.log(1 + sp.exp(Z)),
    "erf(z/√2)": sp.erf(Z / sp.sqrt(2)),
}
NORMS, COSINES = (0.5, 1.0, 2.0), (-0.9, 0.0, 0.5, 0.99)
BITS = 128


class TensorKernel:
    """K, ½ E σ''(u)σ(v), E σ'(u)σ'(v), ½ E σ(u)σ''(v) by Price's theorem."""

    def __init__(self, sigma, nodes):
        self.nodes = nodes
        self.sigma = lower([sp.diff(sigma, Z, k) for k in range(3)], [Z], "arb")

    def row(self, square, order):
        return square

    def points(self, p, q, c):
        """Rows √G (x_i, x_j), with weights."""
        x, transform = hermite(self.nodes, BITS)
        weights = [transform[i, 0] for i in range(self.nodes)]
        root = (p * q - c * c).sqrt() if p * q - c * c > 0 else arb(0)
        trace = (p + q + 2 * root).sqrt()
        g, h, k = (p + root) / trace, c / trace, (q + root) / trace
        for y, one in zip(x, weights, strict=True):
            for z, other in zip(x, weights, strict=True):
                yield one * other, self.sigma(g * y + h * z), self.sigma(h * y + k * z)

    def value(self, p, q, c, _wedge):
        return sum((w * u[0] * v[0] for w, u, v in self.points(p, q, c)), arb(0))

    def first(self, p, q, c, _wedge):
        total = [arb(0)] * 3
        for w, u, v in self.points(p, q, c):
            total[0] += w * u[2] * v[0] / 2
            total[1] += w * u[1] * v[1]
            total[2] += w * u[0] * v[2] / 2
        return tuple(total)

    def own(self, p, order):
        k_p, k_c, _ = self.first(p, p, p, None)
        return 2 * k_p + k_c


def values(kernel):
    """K and K_c on a grid of norms and angles."""
    found = []
    for s in NORMS:
        for t in NORMS:
            for cosine in COSINES:
                p, q, c = (arb(x) for x in (s * s, t * t, s * t * cosine))
                wedge = (p * q - c * c).sqrt()
                a, b = kernel.row(p, 1), kernel.row(q, 1)
                pair = a, b, c, wedge
                found.append([float(kernel.value(*pair)), float(kernel.first(*pair)[1])])
    return np.array(found)


def errors():
    print(f"{'σ':<12}{'N':>5}{'series K':>11}{'tensor K':>11}{'series K_c':>12}{'tensor K_c':>12}")
    for name, sigma in SIGMAS.items():
        truth = values(QuadratureKernel(Smooth(sigma), 500))
        if name.startswith("erf"):
            truth = values(closed_kernel(Erf().kernel()))
        for nodes in (16, 32, 64):
            series = abs(values(QuadratureKernel(Smooth(sigma), nodes)) - truth).max(axis=0)
            tensor = abs(values(TensorKernel(sigma, nodes)) - truth).max(axis=0)
            print(f"{name:<12}{nodes:>5}{series[0]:11.0e}{tensor[0]:11.0e}", end="")
            print(f"{series[1]:12.0e}{tensor[1]:12.0e}")


def times():
    rng = np.random.default_rng(0)
    rows = [[arb(x) for x in row] for row in rng.standard_normal((4, 4)).tolist()]
    at = RoundedVectors(rows)
    print(f"\n{'gradient, 3 students, 1 teacher':<34}{'N':>5}{'series':>10}{'tensor':>10}")
    for nodes in (16, 32, 64):
        row = f"{'tanh z, 128 bits':<34}{nodes:>5}"
        for kernel in (
            QuadratureKernel(Smooth(sp.tanh(Z)), nodes),
            TensorKernel(sp.tanh(Z), nodes),
        ):
            form = GramLoss(kernel, [1, 1, 1, -1], 3)
            form.gradient(at)
            began = time.perf_counter()
            form.gradient(at)
            row += f"{1000 * (time.perf_counter() - began):8.1f}ms"
        print(row, flush=True)


if __name__ == "__main__":
    with flint.ctx.workprec(BITS):
        times()
        errors()
