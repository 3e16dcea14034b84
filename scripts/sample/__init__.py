"""The scene, textures and shapes of the project's own sample photo set (see make_sample.py)."""
