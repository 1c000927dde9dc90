"""A dataset and a checkpoint in, a better checkpoint out."""
