"""Small shared parts."""
