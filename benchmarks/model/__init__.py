"""The network and its sampler: what they cost beside the bare sums."""

__all__ = ["batch", "compiled", "flops", "forward", "growth", "guidance", "imports", "matmul", "pixart", "preparation"]
