"""The engine: data, models, losses, training, export. Imports torch and never Qt; writes run folders, reads specs."""
