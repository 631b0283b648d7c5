"""Networks that predict the measures of deployments, and the closed list of released ones."""

from surrogate.models.chainnet import ChainNet
from surrogate.models.readout import Prediction

__all__ = ["MODELS", "ChainNet", "Prediction"]

MODELS: dict[str, type[ChainNet]] = {"chainnet": ChainNet}
"""Classes a released checkpoint may name. Loading looks up a name here and never imports one."""
