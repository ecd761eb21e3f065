"""Gradient flows in double precision: coordinates, field, charts, stepping, events, results."""
