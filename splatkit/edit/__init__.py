"""Changing a scene: selecting, deleting, cleaning, thinning, placing, and undoing it all."""

from splatkit.edit.placement import Similarity
from splatkit.edit.recipe import Recipe, edit
from splatkit.edit.saving import save_edited
from splatkit.edit.workbench import Workbench

__all__ = ["Recipe", "Similarity", "Workbench", "edit", "save_edited"]
