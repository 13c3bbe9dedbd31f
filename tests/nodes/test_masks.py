"""What Load Image gives where a picture has no mask."""

import torch
from comfyui_ace.ace.lcu.intake import condition_image
from comfyui_ace.ace.pictures.files.mask_reading import given_mask


def test_load_images_empty_mask_is_none_and_no_news():
    told: list[str] = []
    picture = torch.zeros(1, 40, 40, 3)
    for empty in (torch.zeros(1, 64, 64), torch.zeros(3, 64, 64), torch.zeros(64, 64), None):
        assert given_mask(empty) is None
        assert condition_image(picture, given_mask(empty), "auto", told.append).mask is None and told == []


def test_what_an_artist_made_stays():
    dot = torch.zeros(1, 64, 64)
    dot[0, 3, 3] = 0.1
    for mask in (dot, torch.zeros(1, 40, 40), torch.zeros(1, 64, 40)):
        assert given_mask(mask) is mask
