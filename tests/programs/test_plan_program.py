"""What is read of a compiled program: against programs whose arithmetic and messages are known."""

import jax
import jax.numpy as jnp
import pytest

from jgan.ops import conv
from jgan.programs import plan_program

# A loop of three turns with an all-reduce of 256 numbers in it, then an all-gather, as XLA writes them.
TEXT = """HloModule jit_step, is_scheduled=true, entry_computation_layout={(f32[256]{0})->f32[1024]{0}}

%add (x: f32[], y: f32[]) -> f32[] {
  %x = f32[] parameter(0)
  %y = f32[] parameter(1)
  ROOT %sum = f32[] add(%x, %y)
}

%body (carry: (s32[], f32[256])) -> (s32[], f32[256]) {
  %carry = (s32[], f32[256]{0}) parameter(0)
  %turn = s32[] get-tuple-element(%carry), index=0
  %value = f32[256]{0} get-tuple-element(%carry), index=1
  %reduced = f32[256]{0} all-reduce(%value), channel_id=1, replica_groups=[2,4]<=[8], use_global_device_ids=true, to_apply=%add
  %own = f32[256]{0} all-reduce(%reduced), channel_id=2, replica_groups=[8,1]<=[8], use_global_device_ids=true, to_apply=%add
  ROOT %next = (s32[], f32[256]{0}) tuple(%turn, %own)
}

%condition (carry: (s32[], f32[256])) -> pred[] {
  %carry.1 = (s32[], f32[256]{0}) parameter(0)
  ROOT %yes = pred[] constant(true)
}

ENTRY %main (start: f32[256]) -> f32[1024] {
  %start = f32[256]{0} parameter(0)
  %zero = s32[] constant(0)
  %first = (s32[], f32[256]{0}) tuple(%zero, %start)
  %loop = (s32[], f32[256]{0}) while(%first), condition=%condition, body=%body, backend_config={"known_trip_count":{"n":"3"}}
  %last = f32[256]{0} get-tuple-element(%loop), index=1
  ROOT %all = f32[1024]{0} all-gather(%last), channel_id=3, replica_groups=[2,4]<=[4,2]T(1,0), dimensions={0}, use_global_device_ids=true
}
"""  # noqa: E501


def test_collectives_in_loops_count_as_often_as_they_turn():
    found = plan_program.read(TEXT, 8)
    assert found.collectives == (
        plan_program.Collective("all-reduce", 1024, (0, 1, 2, 3), 3),
        plan_program.Collective("all-gather", 4096, (0, 2, 4, 6), 1),
    )
    assert not found.operations and not found.unknown_loops
    unknown = plan_program.read(TEXT.replace("known_trip_count", "other"), 8)
    assert unknown.unknown_loops == 1 and unknown.collectives[0].times == 1


@pytest.mark.parametrize(
    "text, expected",
    [
        ("replica_groups={{0,3},{1,2}}", (0, 3)),
        ("replica_groups={}, to_apply=%add", tuple(range(8))),
        ("replica_groups=[2,4]<=[8], to_apply=%add", (0, 1, 2, 3)),
        ("replica_groups=[4,2]<=[2,4]T(1,0), to_apply=%add", (0, 4)),
        ("replica_groups=mesh['a'=2,'b'=4] {'a'}", (0, 4)),
        ("replica_groups=mesh['a'=2,'b'=4] {'b'}, to_apply=%add", (0, 1, 2, 3)),
        ("replica_groups=mesh['a'=2,'b'=4] {'a','b'}", tuple(range(8))),
        ("replica_groups=mesh['a'=8] {'a':(2)2}", (0, 2)),
        ("replica_groups=mesh['a'=4,'b'=2], device_ids=([2,4]T(1,0)) {'a'}", (0, 1, 2, 3)),
        ("source_target_pairs={{0,1},{1,2},{7,0}}, metadata={}", (7, 0)),
    ],
)
def test_groups_of_devices(text, expected):
    assert plan_program.groups(f", channel_id=1, {text}", 8) == expected


def test_a_new_way_to_write_groups_is_refused():
    with pytest.raises(ValueError, match="new way"):
        plan_program.groups(", replica_groups=<8>", 8)


def flops(function, *arguments):
    with conv.prefer("accelerator", always=True):
        text = jax.jit(function).lower(*arguments).compile().as_text()
    return plan_program.read(text, 1).flops


def test_products_in_a_loop():
    def turns(x, w):
        return jax.lax.scan(lambda x, _: (jnp.tanh(x @ w), None), x, None, length=5)[0]

    assert flops(turns, jnp.zeros((8, 16)), jnp.zeros((16, 16))) == 5 * 2 * 8 * 16 * 16


def test_convolutions_and_all_their_derivatives_cost_the_same():
    x, w = jnp.zeros((2, 16, 16, 3)), jnp.zeros((4, 4, 3, 8))
    padding = ((1, 1), (1, 1))
    once = 2 * 2 * 8 * 8 * 16 * 3 * 8
    assert flops(lambda x, w: conv.conv(x, w, 2, padding), x, w) == once

    def loss(x, w):
        return jnp.sum(conv.conv(x, w, 2, padding) ** 2)

    assert flops(jax.grad(loss, (0, 1)), x, w) == 3 * once
    # No zeros between pixels are multiplied.
    small, kernel = jnp.zeros((2, 8, 8, 8)), jnp.zeros((4, 4, 8, 3))
    assert flops(lambda x, w: conv.conv_transpose(x, w, 2, 1), small, kernel) == once


def test_a_scatter_is_one_kernel():
    """XLA for CPU writes it as a loop over all numbers, in each turn of which all arrays are in sight."""

    def scattered(x, at, y):
        return x.at[at].add(y)

    arguments = jnp.zeros((1000, 8)), jnp.zeros((500,), jnp.int32), jnp.zeros((500, 8))
    moved = plan_program.read(jax.jit(scattered).lower(*arguments).compile().as_text(), 1).bytes
    assert moved < 8 * sum(x.nbytes for x in arguments)


def test_bytes_are_those_that_a_kernel_reads_and_writes():
    text = jax.jit(lambda x: x[7:9] * 2.0).lower(jnp.zeros((1000, 32))).compile().as_text()
    assert plan_program.read(text, 1).bytes == pytest.approx(2 * 2 * 32 * 4)


# Calls of cuDNN and cuBLAS as XLA's own tests write them: a convolution 3x3 of 64 to 32 channels, stride 2, on four
# images of 16 pixels, and its two gradients; a product [16, 32] x [32, 8].
LIBRARIES = """HloModule jit_step, is_scheduled=true

ENTRY %main (images: f32[4,16,16,64], kernel: f32[32,3,3,64], grad: f32[4,8,8,32], x: f32[16,32], y: f32[32,8]) -> f32[16,8] {
  %images = f32[4,16,16,64]{3,2,1,0} parameter(0)
  %kernel = f32[32,3,3,64]{3,2,1,0} parameter(1)
  %grad = f32[4,8,8,32]{3,2,1,0} parameter(2)
  %x = f32[16,32]{1,0} parameter(3)
  %y = f32[32,8]{1,0} parameter(4)
  %made = (f32[4,8,8,32]{3,2,1,0}, u8[0]{0}) custom-call(%images, %kernel), window={size=3x3 stride=2x2 pad=1_1x1_1}, dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convForward", backend_config={"cudnn_conv_backend_config":{"activation_mode":"kNone"}}
  %to_images = (f32[4,16,16,64]{3,2,1,0}, u8[0]{0}) custom-call(%grad, %kernel), window={size=3x3 stride=2x2 pad=1_1x1_1}, dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convBackwardInput"
  %to_kernel = (f32[32,3,3,64]{3,2,1,0}, u8[0]{0}) custom-call(%images, %grad), window={size=3x3 stride=2x2 pad=1_1x1_1}, dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convBackwardFilter"
  %product = (f32[16,8]{1,0}, s8[4096]{0}) custom-call(%x, %y), custom_call_target="__cublas$gemm", backend_config={"gemm_backend_config":{"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"],"rhs_contracting_dimensions":["0"],"lhs_batch_dimensions":[]}}}
  %sorted = f32[16,32]{1,0} custom-call(%x), custom_call_target="__cub$DeviceRadixSort"
  ROOT %first = f32[16,8]{1,0} get-tuple-element(%product), index=0
}
"""  # noqa: E501


def test_calls_of_libraries_count_as_what_they_stand_for():
    found = plan_program.read(LIBRARIES, 1)
    one = 2 * 4 * 8 * 8 * 32 * 3 * 3 * 64  # of a convolution, and as many of each gradient
    assert [x.flops for x in found.operations] == [one, one, one, 2 * 16 * 32 * 8, 0]
