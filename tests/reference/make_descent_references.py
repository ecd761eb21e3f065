"""Losses along gradient descent, by the textbook formulas in 113-bit floating point.

Usage: ``python tests/reference/make_descent_references.py [case ...]``  (no case = all cases).
Needs numpy and a C compiler with libquadmath (GCC); writes ``tests/data/reference_descents.json``
after each case.  It shares no code with flowkit.

    L(W) = 1/2 sum_{a,b} c_a c_b K(a, b),   K(a, b) = |a| |b| (sin th + (pi - th) cos th) / (2 pi),
    dL/dw_i = r/2 + [ (sum_j |w_j| sin th_ij - |v| sin th_i) w_i/|w_i|
                      - sum_j th_ij w_j + th_i v ] / (2 pi),        r = sum_i w_i - v,

for the ReLU; a leaky one of slope alpha has L = alpha |r|^2 / 2 + (1 - alpha)^2 L_ReLU.  Angles are
acos of the cosine.  With 34 digits and losses of 1e-16 the sums of order one leave 17 of them;
``digits`` in the file says what is left of the smallest loss, less 2 for 10^7 roundings.

Not so in "one dies": from iteration 1170 on that neuron jumps to and fro over zero, and its
directions across grow from below any rounding.  With 40, 60 and 90 digits the losses at 2069 differ
by 2e-5 from each other and from this file: beyond 1000 it is one sample of many.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

OUTPUT = Path(__file__).resolve().parents[1] / "data" / "reference_descents.json"

PROGRAM = r"""
#include <quadmath.h>
#include <stdio.h>
#include <stdlib.h>
typedef __float128 real;
static int n, d;
static real alpha, w[64][64], v[64], grad[64][64];
static real dot(const real *a, const real *b) {
  real s = 0; for (int p = 0; p < d; p++) s += a[p] * b[p]; return s; }
static real angle(const real *a, real na, const real *b, real nb) {
  real c = dot(a, b) / (na * nb);
  return acosq(c > 1 ? 1 : (c < -1 ? -1 : c)); }
static real kernel(real na, real nb, real th) {
  return na * nb * (sinq(th) + (M_PIq - th) * cosq(th)) / (2 * M_PIq); }
static real step(real eta, int want) {
  real norm[64], nv = sqrtq(dot(v, v)), r[64], loss = 0;
  for (int p = 0; p < d; p++) { r[p] = -v[p]; for (int i = 0; i < n; i++) r[p] += w[i][p]; }
  for (int i = 0; i < n; i++) {
    norm[i] = sqrtq(dot(w[i], w[i]));
    for (int p = 0; p < d; p++) grad[i][p] = r[p] / 2;
  }
  if (want) loss = nv * nv / 4;
  for (int i = 0; i < n; i++) {
    real th = angle(w[i], norm[i], v, nv), s = sinq(th);
    if (want) loss += norm[i] * norm[i] / 4 - kernel(norm[i], nv, th);
    for (int p = 0; p < d; p++)
      grad[i][p] += (th * v[p] - nv * s * w[i][p] / norm[i]) / (2 * M_PIq);
    for (int j = 0; j < i; j++) {
      th = angle(w[i], norm[i], w[j], norm[j]); s = sinq(th);
      if (want) loss += kernel(norm[i], norm[j], th);
      for (int p = 0; p < d; p++) {
        grad[i][p] += (norm[j] * s * w[i][p] / norm[i] - th * w[j][p]) / (2 * M_PIq);
        grad[j][p] += (norm[i] * s * w[j][p] / norm[j] - th * w[i][p]) / (2 * M_PIq);
      }
    }
  }
  real leaky = (1 - alpha) * (1 - alpha);
  if (want) loss = alpha * dot(r, r) / 2 + leaky * loss;
  for (int i = 0; i < n; i++)
    for (int p = 0; p < d; p++)
      w[i][p] -= eta * (alpha * r[p] + leaky * grad[i][p]);
  return loss; }
static real read_number(void) {
  char text[64]; if (scanf("%63s", text) != 1) exit(1); return (real)strtod(text, 0); }
int main(void) {
  int count; char text[64];
  if (scanf("%d %d %d", &n, &d, &count) != 3) return 1;
  long *at = malloc(count * sizeof(long));
  for (int k = 0; k < count; k++) if (scanf("%ld", at + k) != 1) return 1;
  alpha = read_number(); real eta = read_number();
  for (int p = 0; p < d; p++) v[p] = read_number();
  for (int i = 0; i < n; i++) for (int p = 0; p < d; p++) w[i][p] = read_number();
  int next = 0;
  for (long k = 0; next < count; k++) {
    real loss = step(eta, k == at[next]);
    if (k == at[next]) {
      quadmath_snprintf(text, sizeof text, "%.30Qe", loss); puts(text); fflush(stdout); next++;
    }
  }
  return 0; }
"""


def gaussian(n: int, d: int, sigma: float, seed: int) -> np.ndarray:
    return sigma * np.random.default_rng(seed).standard_normal((n, d))


# students, slope of the activation, step size, iterations; the teacher is the first axis.
CASES = {
    "small": (gaussian(4, 6, 0.01, 0), 0.0, 0.01, 10**7),
    "one dies": (gaussian(4, 6, 0.1, 0), 0.0, 0.01, 10**7),
    "toy 1": (np.array([[0.3, 0.2], [0.3, -0.2]]), 0.0, 0.1, 10**6),
    "leaky": (gaussian(3, 3, 0.1, 1), 0.25, 0.05, 10**5),
    "large": (gaussian(8, 10, 1.0, 0), 0.0, 0.01, 10**5),
    "one neuron": (gaussian(1, 3, 0.5, 2), 0.0, 0.1, 300),
}


def iterations(steps: int) -> list[int]:
    """Twenty, log-spaced, the powers of ten among them."""
    spaced = np.round(10 ** np.linspace(0, np.log10(steps), 20)).astype(int).tolist()
    powers = [10**k for k in range(int(math.log10(steps)) + 1)]
    return sorted({0, *spaced, *powers, steps})


def compiled(folder: Path) -> Path:
    source, program = folder / "descent.c", folder / "descent"
    source.write_text(PROGRAM, encoding="ascii")
    command = ["gcc", "-O2", str(source), "-o", str(program), "-lquadmath", "-lm"]
    subprocess.run(command, check=True)
    return program


def losses(program: Path, name: str) -> dict:
    w0, alpha, eta, steps = CASES[name]
    n, d = w0.shape
    at = iterations(steps)
    numbers = [alpha, eta, *np.eye(d)[0], *w0.ravel()]
    words = [str(x) for x in (n, d, len(at), *at)] + [float(x).hex() for x in numbers]
    done = subprocess.run(
        [program], input=" ".join(words).encode(), capture_output=True, check=True
    )
    values = done.stdout.decode().split()
    smallest = min(abs(float(x)) for x in values)
    return {
        "w0": w0.tolist(),
        "alpha": alpha,
        "step_size": eta,
        "iteration": at,
        "loss": values,
        "digits": math.floor(33 + math.log10(smallest)) - 2,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], default=list(CASES))
    chosen = parser.parse_args().cases
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(Path(folder))
        for name in chosen:
            began = time.perf_counter()
            result = losses(program, name)
            known = json.loads(OUTPUT.read_text(encoding="utf-8")) if OUTPUT.exists() else {}
            known[name] = result
            OUTPUT.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
            print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
