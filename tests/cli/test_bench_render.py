"""``splatkit bench render`` on a handful of Gaussians."""

import json


def test_times_are_printed_for_every_backend(splatkit) -> None:
    answer = splatkit(
        "bench", "render", "--gaussians", "50", "--width", "24", "--height", "16",
        "--runs", "1", "--backend", "cpu,torch_ref", "--gradients", "--json",
    )  # fmt: skip
    assert answer.code == 0
    rows = json.loads(answer.out)
    assert [row["backend"] for row in rows] == ["cpu", "torch_ref"]
    assert all(row["forward_ms"] > 0 and row["forward_backward_ms"] > 0 for row in rows)
    assert rows[0]["gaussians"] == 50
    assert rows[0]["peak_memory_bytes"] is None


def test_a_backend_that_is_not_there_is_one_line(splatkit) -> None:
    answer = splatkit("bench", "render", "--backend", "gpu", "--gaussians", "5")
    assert answer.code == 2
    assert "expected auto, cpu, cuda, gsplat, torch_ref, got 'gpu'" in answer.err
    assert splatkit("bench", "render", "--runs", "0").code == 2
