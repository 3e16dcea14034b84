"""Reading and writing: one format, one file, one line in the registry."""

from splatkit.io.files import atomic_path, read_json, write_bytes, write_json, write_text

__all__ = ["atomic_path", "read_json", "write_bytes", "write_json", "write_text"]
