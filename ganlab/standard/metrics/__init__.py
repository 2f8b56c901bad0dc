"""The metrics that come with ganlab."""
