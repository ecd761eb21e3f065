"""flowkit: verify convergence-rate theorems of gradient flows numerically.

    problem = flowkit.TeacherStudent(teacher)
    flow = flowkit.integrate(problem, w0, t_max=1e12)
    fit = flowkit.fit_rate(flow)
    report = flowkit.verify(["xu-du/toy-1"])

Everything is loaded on first use, so that ``import flowkit`` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "TeacherStudent": "flowkit.problems.teacher_student",
    "ReLU": "symbolic.activations",
    "LeakyReLU": "symbolic.activations",
    "integrate": "flowkit.flows.run",
    "load": "flowkit.flows.storage",
    "Flow": "flowkit.flows.flow",
    "Event": "flowkit.flows.flow",
    "fit_power_law": "flowkit.rates",
    "fit_exponential": "flowkit.rates",
    "fit_rate": "flowkit.rates",
    "claims": "flowkit.verification.registry",
    "verify": "flowkit.verification.run",
}

__all__ = [*_HOME, "__version__"]

if TYPE_CHECKING:
    from flowkit.verification.registry import claims
    from flowkit.verification.run import verify
    from flowkit.flows.flow import Event, Flow
    from flowkit.flows.run import integrate
    from flowkit.flows.storage import load
    from flowkit.problems.teacher_student import TeacherStudent
    from flowkit.rates import fit_exponential, fit_power_law, fit_rate
    from symbolic.activations import LeakyReLU, ReLU


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'flowkit' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
