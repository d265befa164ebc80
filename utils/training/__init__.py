"""What `train` is made of: recipe, precision, tally, history, progress, checkpoints."""
