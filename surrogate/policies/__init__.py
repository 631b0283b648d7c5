"""Online policies that are made by optimizers or need torch."""
