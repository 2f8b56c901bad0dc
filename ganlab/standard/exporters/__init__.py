"""The standard exporters."""
