"""How fast a recipe trains on this machine: `ganlab bench`."""
