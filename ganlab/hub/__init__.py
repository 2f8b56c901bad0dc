"""A generator for others: its card, the folder that is handed over, and the hub it is pushed to and loaded from."""
