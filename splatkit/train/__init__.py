"""Training: a Scene becomes Gaussians, step by step, as a generator of events."""
