"""Several processes that train one run together: how they start, what they share, and who is missing."""
