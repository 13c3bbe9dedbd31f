"""In a real ComfyUI."""
