"""The network and its sampler: what they cost beside the bare sums."""
