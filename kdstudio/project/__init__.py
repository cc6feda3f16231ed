"""What the user describes: specs, project folders and run folders. Imports neither torch nor Qt."""
