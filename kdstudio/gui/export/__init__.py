"""The Export page: formats, checks, the scorecard."""
