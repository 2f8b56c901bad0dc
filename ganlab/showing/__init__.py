"""Runs as one page that opens anywhere: plain values become HTML, and no name of a stranger's becomes part of it."""
