"""Commands of the program ``datagen``, one module each; :mod:`datagen.__main__` names them."""
