"""How ``bundles/ace-tiny`` was made.

world           pictures, words for them, and edits
vae, text       training of the VAE and of the text encoder
joint           training of the transformer, and of the text encoder along with it, on one GPU
source          the world as a source of examples for the trainer
specialists     seven small teachers that paint without fault, one for each of OmniEdit's tasks
measure         how good a bundle is, in numbers and contact sheets
"""

__all__ = ["measure", "specialists", "world"]
