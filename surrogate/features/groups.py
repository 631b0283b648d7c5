"""The closed list of feature groups, by the names that models and checkpoints give them.

A group is a module of this package with a subclass of
:class:`~surrogate.features.group.FeatureGroup` and a line here.
"""

from __future__ import annotations

from collections.abc import Sequence

from datagen.errors import require
from surrogate.features.batching import Batching
from surrogate.features.contention import ContentionGroup
from surrogate.features.group import FeatureGroup
from surrogate.features.spacing import Spacing

__all__ = ["GROUPS", "feature_groups"]

GROUPS: dict[str, type[FeatureGroup]] = {
    "batching": Batching,
    "contention": ContentionGroup,
    "spacing": Spacing,
}
"""Groups that a model may ask for. Loading looks up a name here and never imports one."""


def feature_groups(names: Sequence[str]) -> tuple[FeatureGroup, ...]:
    """Return feature groups by name.

    Args:
        names: Of :data:`GROUPS`, each at most once; their columns are appended in this order.

    Returns:
        The groups.

    Raises:
        InvalidInputError: If a group is unknown or named twice.
    """
    for name in names:
        require(name in GROUPS, "groups", f"be one of {', '.join(GROUPS)}", name)
    require(len(set(names)) == len(names), "groups", "name each group once", ", ".join(names))
    return tuple(GROUPS[name]() for name in names)
