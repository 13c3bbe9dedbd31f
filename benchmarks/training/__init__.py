"""The trainer and what it makes: time, memory, quality of distillation."""

__all__ = ["training", "training_memory"]
