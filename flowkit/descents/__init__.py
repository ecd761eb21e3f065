"""Gradient descent with a finite step, its loss accurate relatively."""
