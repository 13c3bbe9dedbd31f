"""What the papers say, by benchmark and setting, to stand beside one's own numbers.

MagicBrush: ACE (Han et al. 2024), table 1, guided by instructions; ``history`` is its "w/ LC". Emu Edit: ACE, table 5.
OmniEdit-Bench: OmniEdit (Wei et al. 2024), table 3, judged by GPT-4o, on a scale from 0 to 10.
"""

from __future__ import annotations

_MAGICBRUSH = ("l1", "l2", "clip_i", "dino", "clip_t")
_EMU = ("clip_dir", "clip_out", "l1", "clip_img", "dino")
_MARKS = ("pq", "sc", "o")


def _rows(keys: tuple[str, ...], rows: dict[str, tuple[float | None, ...]]) -> dict[str, dict[str, float]]:
    return {
        name: {key: value for key, value in zip(keys, values, strict=True) if value is not None}
        for name, values in rows.items()
    }


PUBLISHED: dict[tuple[str, str], dict[str, dict[str, float]]] = {
    ("magicbrush", "single"): _rows(
        _MAGICBRUSH,
        {
            "HIVE": (0.1092, 0.0380, 0.8519, 0.7500, None),
            "InstructPix2Pix": (0.1122, 0.0371, 0.8524, 0.7428, 0.2764),
            "MagicBrush": (0.0625, 0.0203, 0.9332, 0.8987, 0.2781),
            "UltraEdit": (0.0575, 0.0172, 0.9307, 0.8982, None),
            "ACE": (0.0507, 0.0165, 0.9453, 0.9215, 0.2841),
        },
    ),
    ("magicbrush", "multi"): _rows(
        _MAGICBRUSH,
        {
            "HIVE": (0.1521, 0.0557, 0.8004, 0.6463, 0.2673),
            "InstructPix2Pix": (0.1584, 0.0598, 0.7924, 0.6177, 0.2726),
            "MagicBrush": (0.0964, 0.0353, 0.8924, 0.8273, 0.2754),
            "UltraEdit": (0.0745, 0.0236, 0.9045, 0.8505, None),
            "ACE": (0.0773, 0.0293, 0.9128, 0.8661, 0.2855),
        },
    ),
    ("magicbrush", "history"): _rows(_MAGICBRUSH, {"ACE (w/ LC)": (0.0761, 0.0284, 0.9140, 0.8668, 0.2809)}),
    ("emu", "single"): _rows(
        _EMU,
        {
            "InstructPix2Pix": (0.0739, 0.2681, 0.1240, 0.8508, 0.7647),
            "MagicBrush": (0.0831, 0.2701, 0.0995, 0.8664, 0.7927),
            "Emu Edit": (0.1073, 0.2791, 0.0893, 0.8743, 0.8398),
            "UltraEdit": (0.0888, 0.2783, 0.0532, 0.8814, 0.8524),
            "CosXL": (0.0901, 0.2775, 0.0940, 0.8686, 0.8340),
            "ACE": (0.0855, 0.2746, 0.0761, 0.8952, 0.8620),
        },
    ),
    ("omniedit", "single"): _rows(
        _MARKS,
        {
            "DiffEdit": (5.88, 2.73, 2.79),
            "SDEdit": (6.71, 2.18, 2.78),
            "InstructPix2Pix": (7.05, 3.04, 3.45),
            "MagicBrush": (6.11, 3.53, 3.60),
            "UltraEdit (SD3)": (6.44, 4.66, 4.86),
            "HQ-Edit": (5.42, 2.15, 2.25),
            "CosXL-Edit": (8.34, 5.81, 6.00),
            "HIVE": (5.35, 3.65, 3.57),
            "Omni-Edit": (8.38, 6.66, 6.98),
        },
    ),
}


def published(benchmark: str, setting: str) -> dict[str, dict[str, float]]:
    """Rows by method, each with numbers by metric; empty where no paper has any."""
    return PUBLISHED.get((benchmark, setting), {})
