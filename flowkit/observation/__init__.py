"""Quantities of the papers along a run: angles, projections, residuals, potentials, phases."""
