"""Where bfloat16 is faster than float32: on processors and GPUs that multiply it themselves.

Elsewhere it is emulated, at a quarter of float32's speed (measured on an Intel Xeon with AVX-512
and without its bfloat16 instructions).
"""

from __future__ import annotations

import torch


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def fastest(device: torch.device | str = "cpu") -> torch.autocast:
    """A context in which matrices are multiplied in bfloat16 where that is faster."""
    device = torch.device(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=computes_bfloat16(device))
