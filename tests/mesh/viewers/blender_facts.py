"""Run by Blender (or by a Python with bpy): imports a file and prints what came of it.

blender --background --factory-startup --python blender_facts.py -- FILE
"""

import json
import sys

import bpy

bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=sys.argv[-1])
meshes = []
for thing in bpy.data.objects:
    if thing.type == "MESH":
        places = [thing.matrix_world @ vertex.co for vertex in thing.data.vertices]
        meshes.append(
            {
                "name": thing.name,
                "low": [min(place[axis] for place in places) for axis in range(3)],
                "high": [max(place[axis] for place in places) for axis in range(3)],
                "triangles": len(thing.data.polygons),
                "materials": len(thing.data.materials),
            }
        )
shaders = [node.type for material in bpy.data.materials for node in material.node_tree.nodes]
facts = {
    "version": bpy.app.version_string,
    "meshes": meshes,
    "pictures": [list(picture.size) for picture in bpy.data.images if picture.size[0]],
    "unlit": "EMISSION" in shaders and "BSDF_PRINCIPLED" not in shaders,
}
print("FACTS " + json.dumps(facts))
