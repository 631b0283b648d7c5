"""Names the packages to build; all else is in ``pyproject.toml``.

The released models lie in the top-level folder ``checkpoints/``, outside both packages, and are
installed as data of the package ``surrogate.checkpoints_data``.
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["datagen", "datagen.*", "surrogate", "surrogate.*"]),
        "surrogate.checkpoints_data",
    ]
)
