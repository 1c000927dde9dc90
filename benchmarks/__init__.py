"""Measures the engine on this machine. Figures are for comparing within one run: timings are noisy."""
