"""The native kernels of reconstruction (``cuda/cpu/upscale.h``), float32 on the CPU."""

from splatkit import _native

sharpen = _native.sharpen
upscale_fsr = _native.upscale_fsr
upscale_hermite = _native.upscale_hermite
upscale_history = _native.upscale_history

__all__ = ["sharpen", "upscale_fsr", "upscale_hermite", "upscale_history"]
