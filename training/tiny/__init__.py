"""How ``bundles/ace-tiny`` was made: pictures, edits, and the training of its VAE and text encoder."""

__all__ = ["operations", "photographs", "pictures"]
