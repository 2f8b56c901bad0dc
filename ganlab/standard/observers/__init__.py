"""The standard observers."""
