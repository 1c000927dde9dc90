"""One module per step; its name begins with its number."""
