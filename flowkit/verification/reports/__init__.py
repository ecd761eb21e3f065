"""Results of claims: as data, JSON, a terminal table, an HTML page."""
