"""Error of the loss against the reference flows: `python tests/benchmarks/accuracy.py [RTOL]`.

Not a test: it prints the table of docs/design.md.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median

import mpmath
import numpy as np

import flowkit

CASES = json.loads((Path(__file__).parents[1] / "data" / "reference_flows.json").read_text())


def main(rtol: float) -> None:
    print(f"{'case':<18}{'t to':>9}{'error':>10}{'estimated':>11}{'steps':>7}{'seconds':>9}")
    for name, case in CASES.items():
        problem = flowkit.TeacherStudent(np.array(case["teacher"], dtype=float))
        w0 = np.array(case["w0"], dtype=float)
        times = np.array([float(t) for t in case["t"]])
        seconds = []
        for _ in range(3):
            began = time.perf_counter()
            flow = flowkit.integrate(problem, w0, times[-1], rtol=rtol, progress=False)
            seconds.append(time.perf_counter() - began)
        loss = flow.loss_at(times)
        exact = [mpmath.mpf(text) for text in case["loss"]]
        error = max(float(abs(a / b - 1)) for a, b in zip(loss, exact, strict=True))
        estimate, steps = flow.loss_error.max(), flow.stats["steps"]
        row = f"{name:<18}{times[-1]:>9.0e}{error:>10.0e}{estimate:>11.0e}{steps:>7}"
        print(f"{row}{median(seconds):>9.2f}")


if __name__ == "__main__":
    mpmath.mp.dps = 50
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1e-10)
