"""The rotation of pairs, which is written for speed, against the complex form that it stands for."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.ace.model.layers import apply_rope, rope_table

SIZES, DIMS, HEADS = [(3, 4), (2, 5)], (12, 10, 10), 2
TOKENS = sum(rows * columns for rows, columns in SIZES)


def rotated_as_complex(x: torch.Tensor) -> torch.Tensor:
    """(B, N, H, d) -> (B, N, H, d), in float64 from the definition."""
    angles = []
    for frame, (rows, columns) in enumerate(SIZES):
        for row in range(rows):
            for column in range(columns):
                parts = [
                    position * 10000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
                    for position, dim in zip((frame, row, column), DIMS, strict=True)
                ]
                angles.append(torch.cat(parts))
    angles = torch.stack(angles)[:, None]  # (N, 1, d / 2)
    pairs = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2)


@pytest.fixture
def tokens():
    return torch.randn(2, TOKENS, HEADS, sum(DIMS), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 2**-8)])
def test_rope_rotates_pairs_by_frame_row_and_column(tokens, dtype, tolerance):
    x = tokens.to(dtype)
    kept = x.clone()
    rotated = apply_rope(x, rope_table(SIZES, DIMS, "cpu"))
    assert rotated.dtype == dtype
    torch.testing.assert_close(rotated.double(), rotated_as_complex(x), rtol=tolerance, atol=tolerance)
    assert torch.equal(x, kept)


def test_rope_is_differentiable(tokens):
    # A rotation's gradient is the rotation back, so rotating the gradient must give what came in from above.
    x = tokens.clone().requires_grad_()
    above = torch.randn(tokens.shape, generator=torch.Generator().manual_seed(1))
    apply_rope(x, rope_table(SIZES, DIMS, "cpu")).backward(above)
    torch.testing.assert_close(rotated_as_complex(x.grad), above.double(), rtol=1e-5, atol=1e-5)
