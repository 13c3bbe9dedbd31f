"""Capture and datasets: what a pair costs."""
