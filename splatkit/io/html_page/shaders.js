// shaders
