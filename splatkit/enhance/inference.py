"""Runs the network: in torch (bfloat16 on CPUs that have it, half precision on GPUs) or ONNX.

On a GPU the launches of torch are captured into a CUDA graph for each size of picture.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from splatkit.core import SplatkitError, UsageError
from splatkit.enhance.cuda_kernels import kernels_for
from splatkit.enhance.network import (
    DETAIL_SCALE,
    FEATURES,
    FOLD,
    RESIDUAL_SCALE,
    Residual,
    features,
    unfolded,
)
from splatkit.enhance.replay import Replayed
from splatkit.enhance.small import Placing
from splatkit.io.files import atomic_path
from splatkit.render.rows import capture_graph

ENGINES = ("torch", "onnxruntime")
ONNX_OPSET = 18


class Engine(Protocol):
    """Maps features [8,H,W] to residual colours [3,H,W]."""

    def __call__(self, seen: Tensor) -> Tensor: ...  # pragma: no cover


def make_engine(network: Residual, device: torch.device, name: str = "torch") -> Engine:
    """What runs a network on a device.

    Raises:
        UsageError: no such engine, or one that is not installed.
    """
    if name == "torch":
        return TorchEngine(network, device)
    if name == "onnxruntime":
        return OnnxEngine(network)
    raise UsageError(f"engine: expected one of {', '.join(ENGINES)}, got {name!r}")


def enhanced(
    engine: Engine,
    base: Tensor,
    rgb: Tensor,
    alpha: Tensor,
    placing: Placing,
    strength: float = 1.0,
    share: Tensor | None = None,
) -> Tensor:
    """[H,W,3] a reconstruction with what a network adds.

    Args:
        engine: runs the network.
        base: [H,W,3] Hermite reconstruction.
        rgb: [h,w,3] small picture.
        alpha: [h,w] its coverage.
        placing: how the large picture lies on the small one.
        strength: of what is added.
        share: [H,W,1] 0..1, how much of it each pixel gets; all when None.
    """
    kernels = kernels_for(base)
    if kernels is not None and isinstance(engine, TorchEngine) and engine.dtype == torch.float16:
        replayed = engine.replayed(*base.shape[:2])
        kernels.features(base, rgb, alpha, placing, DETAIL_SCALE, replayed.given)
        return kernels.add(base, replayed(), strength * RESIDUAL_SCALE, share)
    missing = engine(features(base, rgb, alpha, placing)).permute(1, 2, 0)
    missing = missing if share is None else share * missing
    return torch.add(base, missing, alpha=strength)


class TorchEngine:
    """The network in torch.

    Args:
        network: on any device; copied.
        device: where features lie.
        dtype: to compute in; the fastest that the device has when None.
    """

    def __init__(
        self, network: Residual, device: torch.device, dtype: torch.dtype | None = None
    ) -> None:
        self.dtype = dtype or _fastest(device)
        copy = Residual(network.shape)
        copy.load_state_dict(network.state_dict())
        if device.type == "cuda":
            for layer in copy.modules():
                if isinstance(layer, torch.nn.Conv2d):
                    # As the matrix units take them; a CPU's library orders them on its own.
                    layer.weight.data = layer.weight.data.to(memory_format=torch.channels_last)
        self._device = device
        self._network = copy.to(device, self.dtype).eval()
        self._replayed: Replayed | None = None

    @torch.no_grad()
    def __call__(self, seen: Tensor) -> Tensor:
        given = _even(seen)[None].to(self.dtype, memory_format=torch.channels_last)
        if self._device.type == "cuda":
            replayed = self.replayed(*seen.shape[1:])
            replayed.given.copy_(pixel_unshuffle(given, FOLD))
            residual = unfolded(replayed())[0].float()
        else:
            residual = self._network(given)[0].float()
        return residual[:, : seen.shape[1], : seen.shape[2]]

    def replayed(self, height: int, width: int) -> Replayed:
        """The network on a GPU for pictures of a size, captured anew where the size changes.

        It takes features and gives answers folded, channels last; see ``Residual.folded``.
        """
        size = (1, FEATURES * FOLD**2, -(-height // FOLD), -(-width // FOLD))
        if self._replayed is None or self._replayed.given.shape != size:
            # What is left of the old size goes first, and what torch keeps for later: while a graph
            # is captured no memory is given back, and none of an old graph's is used again.
            self._replayed = None
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            layout = torch.channels_last
            given = torch.empty(size, dtype=self.dtype, device=self._device, memory_format=layout)
            self._replayed = Replayed(self._folded, given, capture_graph(self._device))
        return self._replayed

    @torch.no_grad()
    def _folded(self, given: Tensor) -> Tensor:
        return self._network.folded(given).contiguous(memory_format=torch.channels_last)


class OnnxEngine:
    """The network in ONNX Runtime (extra ``onnx``).

    Args:
        network: exported first.
    """

    def __init__(self, network: Residual) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise UsageError(
                "engine onnxruntime: not installed; install it with: pip install 'splatkit[onnx]'"
            ) from error
        self._session: Any = onnxruntime.InferenceSession(
            onnx_bytes(network), providers=onnxruntime.get_available_providers()
        )

    def __call__(self, seen: Tensor) -> Tensor:
        given = {"features": _even(seen)[None].float().cpu().numpy()}
        residual = torch.from_numpy(self._session.run(None, given)[0])[0].to(seen.device)
        return residual[:, : seen.shape[1], : seen.shape[2]]


def onnx_bytes(network: Residual) -> bytes:
    """The network as an ONNX model: ``features`` [1,8,H,W] to ``residual`` [1,3,H,W], H, W even.

    Raises:
        UsageError: the package onnx is not installed.
    """
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise UsageError(
            "ONNX export: onnx is not installed; install it with: pip install 'splatkit[onnx]'"
        ) from error
    nodes: list[Any] = []
    weights = []
    for name, tensor in network.state_dict().items():
        weights.append(numpy_helper.from_array(tensor.detach().float().cpu().numpy(), name))

    def convolved(before: str, layer: str, after: str, reach: int = 1) -> str:
        inputs = [before, f"{layer}.weight", f"{layer}.bias"]
        nodes.append(helper.make_node("Conv", inputs, [after], pads=[reach] * 4))
        return after

    def node(kind: str, inputs: list[str], after: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [after], **attributes))
        return after

    # SpaceToDepth orders channels otherwise than pixel_unshuffle: reshape and transpose instead.
    shape = node("Shape", ["features"], "shape")
    for place, name in ((2, "height"), (3, "width")):
        weights.append(numpy_helper.from_array(_int64(place), f"place_{name}"))
        node("Gather", [shape, f"place_{name}"], name)
        node("Div", [name, "fold"], f"small_{name}")
    weights += [
        numpy_helper.from_array(_int64(FOLD), "fold"),
        numpy_helper.from_array(_int64(1, FEATURES), "front"),
        numpy_helper.from_array(_int64(1, FEATURES * FOLD**2), "folded_front"),
        numpy_helper.from_array(torch.tensor(RESIDUAL_SCALE).numpy(), "scale"),
    ]
    split = ["front", "small_height", "fold", "small_width", "fold"]
    target = node("Concat", split, "split_shape", axis=0)
    x = node("Reshape", ["features", target], "split")
    x = node("Transpose", [x], "turned", perm=[0, 1, 3, 5, 2, 4])
    folded = node("Concat", ["folded_front", "small_height", "small_width"], "fold_shape", axis=0)
    x = node("Reshape", [x, folded], "folded")
    x = node("Relu", [convolved(x, "enter", "entered")], "hidden")
    for block in range(network.shape.blocks):
        name = f"blocks.{block}"
        y = node("Relu", [convolved(x, f"{name}.first", f"{name}.a")], f"{name}.b")
        x = node("Add", [x, convolved(y, f"{name}.second", f"{name}.c")], f"{name}.d")
    x = convolved(x, "leave", "left", reach=0)
    x = node("DepthToSpace", [x], "unfolded", blocksize=FOLD, mode="CRD")
    node("Mul", [x, "scale"], "residual")
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, "height", "width"])
        for name, channels in (("features", FEATURES), ("residual", 3))
    ]
    graph = helper.make_graph(nodes, "splatkit upscaling", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", ONNX_OPSET)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model.SerializeToString()


def write_onnx(network: Residual, path: Path) -> None:
    """Write the network as an ONNX file."""
    data = onnx_bytes(network)
    if path.suffix.lower() != ".onnx":
        raise SplatkitError(f"{path}: expected a name ending in .onnx")
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _int64(*values: int) -> Any:
    return torch.tensor(values, dtype=torch.int64).numpy()


def _even(seen: Tensor) -> Tensor:
    """Features with the last row and column repeated where their number is odd."""
    height, width = seen.shape[1:]
    if height % FOLD == 0 and width % FOLD == 0:
        return seen
    padding = (0, -width % FOLD, 0, -height % FOLD)
    return torch.nn.functional.pad(seen[None], padding, mode="replicate")[0]


def _fastest(device: torch.device) -> torch.dtype:
    if device.type == "cuda":
        return torch.float16
    # Only where the processor multiplies bfloat16 itself: elsewhere it is the slower one.
    return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32
