"""The trainer and what it makes: time, memory, quality of distillation."""

__all__ = ["distillation", "training", "training_memory", "training_speed"]
