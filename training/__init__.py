"""Pairs on disk, capture and training."""
