"""The trainer and what it makes: time, memory, quality of distillation."""
