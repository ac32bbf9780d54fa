"""Measurements as ratios within one run. Machines differ and are noisy: compare columns, not runs."""
