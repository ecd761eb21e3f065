"""Flows in any precision: Radau IIA with many stages, digits certified by a second run."""
