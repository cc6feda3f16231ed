"""A first start that teaches: the welcome page and the tour."""
