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
    "PhaseRetrieval": "flowkit.problems.phase_retrieval",
    "ReLU": "symbolic.activations",
    "LeakyReLU": "symbolic.activations",
    "Activation": "symbolic.activations",
    "ArcCosine": "symbolic.activations",
    "Erf": "symbolic.activations",
    "Monomial": "symbolic.activations",
    "Polynomial": "symbolic.activations",
    "Smooth": "symbolic.smooth",
    "SymbolicLoss": "flowkit.problems.symbolic_loss",
    "VectorField": "flowkit.problems.vector_field",
    "derive": "symbolic.library",
    "derivations": "symbolic.library",
    "integrate": "flowkit.integration",
    "descend": "flowkit.descents.run",
    "resume": "flowkit.integration",
    "load": "flowkit.integration",
    "Flow": "flowkit.flows.flow",
    "Descent": "flowkit.descents.descent",
    "PreciseFlow": "flowkit.multiprecision.flow",
    "Event": "flowkit.flows.event",
    "extrapolate": "flowkit.rates",
    "fit_power_law": "flowkit.rates",
    "fit_exponential": "flowkit.rates",
    "fit_rate": "flowkit.rates",
    "self_similar_profile": "flowkit.asymptotics.profile",
    "Asymptotics": "flowkit.asymptotics.result",
    "observables": "flowkit.observation.collect",
    "observables_at": "flowkit.observation.collect",
    "Observables": "flowkit.observation.result",
    "phases": "flowkit.observation.phases",
    "Phases": "flowkit.observation.phases",
    "claims": "flowkit.verification.registry",
    "verify": "flowkit.verification.run",
}

__all__ = [*_HOME, "__version__"]

if TYPE_CHECKING:
    from flowkit.asymptotics.profile import self_similar_profile as self_similar_profile
    from flowkit.asymptotics.result import Asymptotics as Asymptotics
    from flowkit.descents.descent import Descent as Descent
    from flowkit.descents.run import descend as descend
    from flowkit.flows.event import Event as Event
    from flowkit.flows.flow import Flow as Flow
    from flowkit.integration import integrate as integrate
    from flowkit.integration import load as load
    from flowkit.integration import resume as resume
    from flowkit.multiprecision.flow import PreciseFlow as PreciseFlow
    from flowkit.observation.collect import observables as observables
    from flowkit.observation.collect import observables_at as observables_at
    from flowkit.observation.phases import Phases as Phases
    from flowkit.observation.phases import phases as phases
    from flowkit.observation.result import Observables as Observables
    from flowkit.problems.phase_retrieval import PhaseRetrieval as PhaseRetrieval
    from flowkit.problems.symbolic_loss import SymbolicLoss as SymbolicLoss
    from flowkit.problems.teacher_student import TeacherStudent as TeacherStudent
    from flowkit.problems.vector_field import VectorField as VectorField
    from flowkit.rates import extrapolate as extrapolate
    from flowkit.rates import fit_exponential as fit_exponential
    from flowkit.rates import fit_power_law as fit_power_law
    from flowkit.rates import fit_rate as fit_rate
    from flowkit.verification.registry import claims as claims
    from flowkit.verification.run import verify as verify
    from symbolic.activations import Activation as Activation
    from symbolic.activations import ArcCosine as ArcCosine
    from symbolic.activations import Erf as Erf
    from symbolic.activations import LeakyReLU as LeakyReLU
    from symbolic.activations import Monomial as Monomial
    from symbolic.activations import Polynomial as Polynomial
    from symbolic.activations import ReLU as ReLU
    from symbolic.library import derivations as derivations
    from symbolic.library import derive as derive
    from symbolic.smooth import Smooth as Smooth


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'flowkit' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
