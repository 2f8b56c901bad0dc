"""A run: its directory, its session, who observes it, and how it goes on after a stop."""
