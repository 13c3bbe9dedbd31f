"""Vision encoders from files that the user has: nothing is downloaded, nothing of a stranger's code is run.

    encoder = load_encoder("models/clip_vision/sigclip_vision_patch14_384.safetensors", device)
    features = encoder.encode([encoder.preparation(pixels)])       # (1, D), unit length

encoder       an encoder and how a picture is brought to it
folder        folders as transformers writes them
single_file   single files as ComfyUI's clip_vision folder has them, and style encoders (CSD)
quiet         loading by transformers without its bars and reports
open_clip     key names of OpenAI's and OpenCLIP's weights
"""

from .encoder import Encoder, EncoderError, Preparation
from .loading import load_encoder

__all__ = ["Encoder", "EncoderError", "Preparation", "load_encoder"]
