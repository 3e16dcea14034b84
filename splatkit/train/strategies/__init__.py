"""Where Gaussians are added and removed while training, in three ways: see each module."""

from splatkit.train.strategies.base import Budget, Model, Occasion, Strategy
from splatkit.train.strategies.budgeted import BudgetedGrowth
from splatkit.train.strategies.classic import Classic
from splatkit.train.strategies.mcmc import Mcmc

__all__ = ["Budget", "BudgetedGrowth", "Classic", "Mcmc", "Model", "Occasion", "Strategy"]
