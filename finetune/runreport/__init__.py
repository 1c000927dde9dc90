"""What an operator reads after a run: one HTML page, its plots as pictures, and ten lines in the terminal."""
