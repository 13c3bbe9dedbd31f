"""Where each frame's image and text tokens lie in the sequences of one forward pass."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TextGroup:
    """A run of neighbouring frames that have the same number of image tokens and the same number of text tokens.

    Attributes:
        image_span: the run's tokens on the image sequence.
        text_span: the run's tokens on the text sequence.
        image_tokens: image tokens of one frame.
        text_tokens: text tokens of one frame.
        frames: indices of the frames in the run.
    """

    image_span: slice
    text_span: slice
    image_tokens: int
    text_tokens: int
    frames: range


@dataclass(frozen=True)
class Layout:
    """Sizes of all frames of a batch; all samples of one forward pass share it.

    What follows from them is computed whenever it is asked for: `torch.compile` breaks the graph at a cached property.

    Attributes:
        sizes: (rows, columns) of each frame in tokens, the target first.
        text_lengths: text tokens of each frame, padding included.
    """

    sizes: tuple[tuple[int, int], ...]
    text_lengths: tuple[int, ...]

    @property
    def image_tokens(self) -> tuple[int, ...]:
        """Image tokens of each frame."""
        return tuple(rows * columns for rows, columns in self.sizes)

    @property
    def groups(self) -> tuple[TextGroup, ...]:
        """The whole sequence cut into the longest possible runs."""
        groups, start, image_at, text_at = [], 0, 0, 0
        kinds = list(zip(self.image_tokens, self.text_lengths, strict=True))
        for end in range(1, len(kinds) + 1):
            if end < len(kinds) and kinds[end] == kinds[start]:
                continue
            (tokens, length), count = kinds[start], end - start
            groups.append(
                TextGroup(
                    slice(image_at, image_at + count * tokens),
                    slice(text_at, text_at + count * length),
                    tokens,
                    length,
                    range(start, end),
                )
            )
            image_at, text_at, start = image_at + count * tokens, text_at + count * length, end
        return tuple(groups)

    @property
    def target_group(self) -> TextGroup:
        """The target frame alone."""
        tokens, length = self.image_tokens[0], self.text_lengths[0]
        return TextGroup(slice(0, tokens), slice(0, length), tokens, length, range(1))
