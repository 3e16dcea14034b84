"""Rotations and look-at cameras."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from splatkit.core.transforms import (
    covariance_from_scale_rotation,
    look_at,
    quat_from_rotation,
    quat_multiply,
    rotation_from_quat,
)

component = st.floats(-1, 1, allow_subnormal=False)
quaternions = (
    st.tuples(component, component, component, component)
    .filter(lambda q: sum(c * c for c in q) > 1e-2)
    .map(lambda q: torch.tensor(q, dtype=torch.float64))
)


@given(quaternions)
def test_rotation_is_orthonormal_and_right_handed(quat):
    rotation = rotation_from_quat(quat)
    identity = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(rotation @ rotation.T, identity, atol=1e-12, rtol=0)
    assert torch.linalg.det(rotation) > 0


@given(quaternions)
def test_quaternion_round_trip(quat):
    rotation = rotation_from_quat(quat)
    again = rotation_from_quat(quat_from_rotation(rotation))
    torch.testing.assert_close(again, rotation, atol=1e-12, rtol=0)


@given(quaternions, quaternions)
def test_product_composes_right_to_left(left, right):
    unit = torch.nn.functional.normalize
    product = rotation_from_quat(quat_multiply(unit(left, dim=-1), unit(right, dim=-1)))
    composed = rotation_from_quat(left) @ rotation_from_quat(right)
    torch.testing.assert_close(product, composed, atol=1e-12, rtol=0)


def test_half_turns_have_a_quaternion():
    """The trace is -1 here, where the textbook formula divides by zero."""
    for axis in range(3):
        rotation = -torch.eye(3, dtype=torch.float64)
        rotation[axis, axis] = 1
        again = rotation_from_quat(quat_from_rotation(rotation))
        torch.testing.assert_close(again, rotation)


def test_quarter_turn_about_z_takes_x_to_y():
    quat = torch.tensor([0.5**0.5, 0, 0, 0.5**0.5], dtype=torch.float64)
    turned = rotation_from_quat(quat) @ torch.tensor([1.0, 0, 0], dtype=torch.float64)
    torch.testing.assert_close(turned, torch.tensor([0, 1.0, 0], dtype=torch.float64))


def test_covariance_is_that_of_the_scaled_axes():
    scales = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    quat = torch.tensor([0.3, -0.2, 0.9, 0.1], dtype=torch.float64)
    covariance = covariance_from_scale_rotation(scales, quat)
    eigenvalues = torch.linalg.eigvalsh(covariance)
    torch.testing.assert_close(eigenvalues, scales**2)


def test_look_at_puts_the_target_ahead_and_up_above():
    eye = torch.tensor([3.0, -2.0, 1.0], dtype=torch.float64)
    target = torch.tensor([0.0, 0.5, -1.0], dtype=torch.float64)
    up = torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64)
    viewmat = look_at(eye, target, up)
    seen = viewmat[:3, :3] @ target + viewmat[:3, 3]
    torch.testing.assert_close(seen[:2], torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(seen[2], (target - eye).norm())
    above = viewmat[:3, :3] @ (target + 0.1 * up) + viewmat[:3, 3]
    assert above[1] < 0
    assert torch.linalg.det(viewmat[:3, :3]) > 0
