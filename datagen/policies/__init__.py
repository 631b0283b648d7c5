"""Online policies that need neither torch nor a library of optimizers."""
