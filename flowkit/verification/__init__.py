"""Claims of the papers: statement, prediction, measurement, verdict."""
