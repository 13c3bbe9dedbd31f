"""Black masks that reach a capturing node: Load Image's own counts as none in silence, any other is spoken of."""

from __future__ import annotations

import torch


def test_black_masks_count_as_none_and_are_said_but_for_load_images_own(pack):
    record, without_black = pack("nodes.capture.record"), pack("training.dataset.intake.black_masks").without_black
    given = [torch.zeros(1, 64, 64), torch.zeros(1, 32, 40), torch.ones(1, 32, 40)]
    masks = [record._masks([mask], [1], "source picture", record._Copies())[0] for mask in given]
    kept, notes = without_black(masks)
    assert kept[0] is None and kept[1] is None and torch.equal(kept[2], given[2][0])
    assert len(notes) == 1 and "reference 1" in notes[0] and "counts as no mask" in notes[0]
