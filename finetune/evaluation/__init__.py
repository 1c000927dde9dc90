"""Measures models on the same data, and judges one by another."""
