"""What to train: TOML ▶ a recipe, or all that is wrong in it."""
