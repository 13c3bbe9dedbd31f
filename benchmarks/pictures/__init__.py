"""Pictures and masks: time and memory."""
