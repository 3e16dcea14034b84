# Run by Godot 3 (godot3-server --path PROJECT -s godot_facts.gd): prints what came of scene.glb.
extends SceneTree

var meshes = []
var bodies = []
var pictures = []

func _init():
	walk(load("res://scene.glb").instance(), Transform())
	var facts = {"version": Engine.get_version_info().string, "meshes": meshes,
			"bodies": bodies, "pictures": pictures}
	print("FACTS " + to_json(facts))
	quit()

func walk(node, above):
	var place = above * node.transform if node is Spatial else above
	if node is MeshInstance:
		var box = place.xform(node.mesh.get_aabb())
		var materials = 0
		for surface in range(node.mesh.get_surface_count()):
			var material = node.mesh.surface_get_material(surface)
			if material != null:
				materials += 1
				if material.albedo_texture != null:
					var size = material.albedo_texture.get_size()
					pictures.append([size.x, size.y])
		meshes.append({"name": node.name, "materials": materials,
				"triangles": node.mesh.get_faces().size() / 3,
				"low": [box.position.x, box.position.y, box.position.z],
				"high": [box.end.x, box.end.y, box.end.z]})
	if node is CollisionShape:
		bodies.append(node.shape.get_class())
	for child in node.get_children():
		walk(child, place)
