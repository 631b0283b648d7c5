"""Predictors of early exits: thresholds in; exit mix, accuracy and confidence out."""
