"""From packed deployments to what a graph network sees: indices, scale-free features, targets."""
