"""Reading and writing: one format, one file, one line in the registry."""

from splatkit.io.files import atomic_path, read_json, write_bytes, write_json, write_text
from splatkit.io.registry import FORMATS, info, read_gaussians, write_gaussians

__all__ = [
    "FORMATS",
    "atomic_path",
    "info",
    "read_gaussians",
    "read_json",
    "write_bytes",
    "write_gaussians",
    "write_json",
    "write_text",
]
