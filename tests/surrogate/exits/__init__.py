"""Tests of the predictors of early exits."""
