"""The native kernels of reconstruction (``cuda/cpu/upscale.h``), float32 on the CPU."""

from splatkit._native import sharpen, upscale_fsr, upscale_hermite, upscale_history

__all__ = ["sharpen", "upscale_fsr", "upscale_hermite", "upscale_history"]
