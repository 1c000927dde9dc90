"""What `python -m finetune` does, a function for each command; each says what it has done on stdout."""
