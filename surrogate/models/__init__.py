"""Networks that predict the measures of deployments, and the closed list of released ones."""

from surrogate.models.chainnet import ChainNet
from surrogate.models.gat import GAT
from surrogate.models.gin import GIN
from surrogate.models.network import DeploymentNetwork
from surrogate.models.readout import Prediction

__all__ = ["GAT", "GIN", "MODELS", "ChainNet", "DeploymentNetwork", "Prediction"]

MODELS: dict[str, type[DeploymentNetwork]] = {"chainnet": ChainNet, "gat": GAT, "gin": GIN}
"""Classes a released checkpoint may name. Loading looks up a name here and never imports one."""
