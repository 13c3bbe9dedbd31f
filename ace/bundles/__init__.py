"""Whole models in a folder: transformer, VAE, text encoder and tokenizer.

bundle          `find_bundle`: where the parts lie, and how the model is meant to be sampled
download        published bundles from the hub, when asked
random_bundle   a tiny one of random weights, for tests
transfer        one file over the network, resumable (private to the room)
"""

__all__ = ["bundle", "download", "random_bundle"]
