"""From a trained scene to triangles that other programs draw."""
