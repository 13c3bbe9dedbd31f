"""Student against teacher: how near a trained model comes to the workflow it was distilled from, in numbers and pictures."""
