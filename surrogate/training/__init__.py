"""Training with Lightning: data, loss, metrics, task."""
