"""The standard losses."""
