"""The experiment page: a form generated from the spec."""
