"""Activations as what a file may hold: a name, or an expression as nested lists, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from symbolic.activations import Activation, parse_activation
from symbolic.gram import C, P, Q
from symbolic.smooth import Smooth
from symbolic.tree import expression, tree


@dataclass(frozen=True)
class ByKernel(Activation):
    """What is left of an activation of your own in a file: its kernel."""

    name: str
    expression: Any
    at_zero: bool = True
    at_parallel: bool = True

    def kernel(self) -> Any:
        return self.expression

    def __str__(self) -> str:
        return self.name


def packed(activation: Any) -> Any:
    """A name or a dictionary, for JSON."""
    if isinstance(activation, Smooth):
        return {"smooth": tree(activation.expression), "nodes": activation.nodes}
    name = str(activation)
    try:
        if parse_activation(name) == activation:
            return name
    except ValueError:
        pass
    flags = {"at_zero": activation.at_zero, "at_parallel": activation.at_parallel}
    return {"name": name, "kernel": tree(activation.kernel()), **flags}


def unpacked(saved: Any) -> Any:
    """The activation that was packed."""
    if isinstance(saved, str):
        return parse_activation(saved)
    if "smooth" in saved:
        return Smooth(expression(saved["smooth"]), nodes=saved["nodes"])
    symbols = {str(x): x for x in (P, C, Q)}
    form = expression(saved["kernel"])
    kernel = form.subs({x: symbols[str(x)] for x in form.free_symbols}, simultaneous=True)
    return ByKernel(saved["name"], kernel, saved["at_zero"], saved["at_parallel"])
