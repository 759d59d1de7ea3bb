"""Fine-tuning from a recipe, repeating a recorded run, recording a run of another framework."""
