"""Claims, one file for each part of a paper, and what they measure with."""
