import functools
import os
import subprocess
import sys

import hypothesis
from hypothesis import strategies as st
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan.ops import conv
from jgan.ops import karatsuba
from jgan.ops import winograd

# Float32 sums of a few thousand products differ by their order, by about 1e-6 of the largest result.
TOLERANCE = 1e-5


def reference_conv(x, w, stride, padding):
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, w, (stride, stride), padding, dimension_numbers=numbers)


def reference_transpose(x, w, stride, padding, extra):
    k = w.shape[0]
    before, after = k - 1 - padding, k - 1 - padding + extra
    return lax.conv_general_dilated(
        x,
        w[::-1, ::-1],
        (1, 1),
        ((before, after), (before, after)),
        lhs_dilation=(stride, stride),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def close(got, wanted, tolerance=TOLERANCE):
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= tolerance * max(np.abs(wanted).max(), 1e-30)


def same_passes(function, reference, x, w):
    """Value and both gradients of `function` in its two forms against those of `reference`."""

    @jax.jit
    def passes(x, w):
        results = []
        for f in (reference, *(functools.partial(function, form=form) for form in ("gemm", "lax"))):
            y, back = jax.vjp(f, x, w)
            results.append((y, *back(jnp.sin(7 * lax.iota(y.dtype, y.size)).reshape(y.shape))))
        return results

    wanted, *others = passes(x, w)
    for results in others:
        for got, want in zip(results, wanted, strict=True):
            close(got, want)


@st.composite
def geometry(draw):
    stride, kernel = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    padding = draw(st.integers(0, kernel - 1))
    size = [draw(st.integers(kernel, 9)) for _ in "hw"]
    n, ci, co = draw(st.integers(1, 2)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    return stride, kernel, padding, (n, *size, ci), co, draw(st.integers(0, stride - 1))


few = hypothesis.settings(max_examples=8, deadline=None, derandomize=True)


@few
@hypothesis.given(geometry())
def test_conv_is_xlas_with_both_gradients(drawn):
    stride, kernel, padding, shape, co, extra = drawn
    pads = ((padding, padding), (padding, padding + extra))
    same_passes(
        lambda x, w, form: conv.conv(x, w, stride, pads, form=form),
        lambda x, w: reference_conv(x, w, stride, pads),
        normal(1, *shape),
        normal(2, kernel, kernel, shape[-1], co),
    )


@few
@hypothesis.given(geometry())
def test_conv_transpose_is_xlas_with_both_gradients(drawn):
    stride, kernel, padding, shape, co, extra = drawn
    same_passes(
        lambda x, w, form: conv.conv_transpose(x, w, stride, padding, extra, form=form),
        lambda x, w: reference_transpose(x, w, stride, padding, extra),
        normal(1, *shape),
        normal(2, kernel, kernel, shape[-1], co),
    )


# Sizes on both sides of every choice between products: many pixels, some, few, one; few channels out.
@pytest.mark.parametrize("size, ci, co, stride", [(36, 8, 6, 2), (20, 3, 5, 2), (2, 6, 4, 2), (9, 16, 1, 1)])
def test_every_choice_of_product_is_right(size, ci, co, stride):
    x, w = normal(3, 1, size, size, ci), normal(4, 4, 4, ci, co)
    pads = ((1, 1), (1, 1))
    same_passes(
        lambda x, w, form: conv.conv(x, w, stride, pads, form=form),
        lambda x, w: reference_conv(x, w, stride, pads),
        x,
        w,
    )
    same_passes(
        lambda x, w, form: conv.conv_transpose(x, w, stride, 1, form=form),
        lambda x, w: reference_transpose(x, w, stride, 1, 0),
        x[:, : size // 2, : size // 2],
        w,
    )


def test_transposed_sizes_and_convention_by_hand():
    # y[2*i + d - 1] += x[i] * w[d] with a one-pixel image: taps 1 to 3 of 4 fall inside.
    w = np.arange(16, dtype=np.float32).reshape(4, 4, 1, 1)
    y = conv.conv_transpose(np.full((1, 1, 1, 1), 2.0, np.float32), w, 2, 1)
    np.testing.assert_array_equal(np.asarray(y)[0, :, :, 0], 2 * w[1:3, 1:3, 0, 0])
    x = np.zeros((1, 5, 7, 2), np.float32)
    assert conv.conv_transpose(x, normal(0, 3, 3, 2, 4), 2, 1, 1).shape == (1, 10, 14, 4)


def test_gradient_of_gradient_and_forward_mode():
    pads = ((1, 1), (1, 1))
    x, w = normal(5, 1, 6, 6, 3), normal(6, 4, 4, 3, 5)

    def penalty(f, x, w):
        return jnp.sum(jax.grad(lambda x: jnp.sum(jnp.sin(f(x, w))))(x) ** 2)

    def ours(x, w):
        y = conv.conv(x, w, 2, pads, form="gemm")
        return conv.conv_transpose(y, w[:, :, :, ::-1].swapaxes(2, 3), 2, 1, form="gemm")

    def xlas(x, w):
        return reference_transpose(reference_conv(x, w, 2, pads), w[:, :, :, ::-1].swapaxes(2, 3), 2, 1, 0)

    @functools.partial(jax.jit, static_argnums=0)
    def twice(f, x, w):
        backward = jax.grad(functools.partial(penalty, f), (0, 1))(x, w)
        forward = jax.jvp(jax.grad(lambda x: penalty(f, x, w)), (x,), (jnp.cos(x),))[1]
        return (*backward, forward)

    for got, wanted in zip(twice(ours, x, w), twice(xlas, x, w), strict=True):
        close(got, wanted, 1e-4)  # four convolutions and a sine deep


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)], ids=["images", "kernels", "both"])
def test_vmap_is_a_loop(axes):
    x, w = normal(7, 3, 2, 6, 6, 4), normal(8, 3, 4, 4, 4, 2)
    x, w = (x if axes[0] == 0 else x[0]), (w if axes[1] == 0 else w[0])

    def passes(x, w):
        def f(x, w):
            y = conv.conv(x, w, 2, ((1, 1), (1, 1)))
            return conv.conv_transpose(y, w.swapaxes(2, 3), 2, 1)

        y, back = jax.vjp(f, x, w)
        return y, *back(jnp.cos(y))

    one = jax.jit(passes)
    singles = [one(*(v[i] if a == 0 else v for v, a in zip((x, w), axes, strict=True))) for i in range(3)]
    for got, wanted in zip(jax.jit(jax.vmap(passes, axes))(x, w), zip(*singles, strict=True), strict=True):
        close(got, np.stack(wanted))


@pytest.mark.parametrize("form", ["gemm", "lax"])
def test_other_floats(form):
    x, w = normal(9, 1, 8, 8, 4), normal(10, 4, 4, 4, 4)

    def f(x, w):
        y = conv.conv(x, w, 2, ((1, 1), (1, 1)), form=form)
        return jnp.sum(conv.conv_transpose(y, w, 2, 1, form=form) ** 2)

    with jax.enable_x64(True):
        double = jax.jit(jax.grad(f, (0, 1)))(x.astype(np.float64), w.astype(np.float64))
    assert double[0].dtype == np.float64
    single = jax.jit(jax.grad(f, (0, 1)))(x, w)
    # bfloat16 keeps 8 bits; four products in a row, each rounded.
    half = jax.jit(jax.grad(f, (0, 1)))(x.astype(jnp.bfloat16), w.astype(jnp.bfloat16))
    assert half[1].dtype == jnp.bfloat16
    for d, s, h in zip(double, single, half, strict=True):
        close(s, d)
        close(h, d, 0.03)


def test_lowered_per_platform():
    x, w = normal(11, 1, 6, 6, 512), normal(12, 4, 4, 512, 512)  # wide: on CPU all three sides are products
    f = jax.jit(jax.grad(lambda x, w: jnp.sum(jnp.sin(conv.conv(x, w, 2, form="auto"))), (0, 1)))
    products, convolutions = "stablehlo.dot_general", "stablehlo.convolution"
    texts = {p: f.trace(x, w).lower(lowering_platforms=(p,)).as_text() for p in ("cpu", "cuda", "tpu")}
    assert products in texts["cpu"] and convolutions not in texts["cpu"]
    for name in ("cuda", "tpu"):
        assert convolutions in texts[name] and products not in texts[name]
    exported = jax.export.export(f, platforms=("cpu", "cuda"))(x, w)
    assert products in exported.mlir_module() and convolutions in exported.mlir_module()
    for got, wanted in zip(exported.call(x, w), f(x, w), strict=True):
        close(got, wanted)


def test_form_is_forced_by_keyword_and_environment(monkeypatch):
    x, w = np.ones((1, 8, 8, 4), np.float32), np.ones((4, 4, 4, 4), np.float32)

    def text(**form):
        return jax.jit(lambda x, w: conv.conv(x, w, 2, **form)).lower(x, w).as_text()

    assert "stablehlo.convolution" in text(form="lax")
    assert "stablehlo.convolution" not in text(form="gemm")
    monkeypatch.setattr(conv, "DEFAULT_FORM", "lax")
    assert "stablehlo.convolution" in text()
    code = "from jgan.ops import conv; print(conv.DEFAULT_FORM)"
    environment = {**os.environ, "JGAN_CONV": "lax"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "lax"


@pytest.mark.usefixtures("optimised")
def test_forward_pass_of_two_losses_is_computed_once():
    x, v = normal(13, 1, 32, 32, 3), normal(14, 1, 16, 16, 8)
    w1, w2 = normal(15, 4, 4, 3, 8), normal(16, 4, 4, 8, 8)
    pads = ((1, 1), (1, 1))

    def net(w, x):
        y = jax.nn.relu(conv.conv(x, w[0], 2, pads, form="gemm"))
        return conv.conv_transpose(conv.conv(y, w[1], 2, pads, form="gemm"), w[1], 2, 1, form="gemm")

    def both(w, v, x):
        first = jax.grad(lambda v: jnp.sum(jnp.sin(lax.stop_gradient(net(w, x)) * v)))(v)
        second = jax.grad(lambda w: jnp.sum(jnp.cos(net(w, x) * (v - first))))(w)
        return first, second

    def alone(w, v, x):
        return jax.grad(lambda w: jnp.sum(jnp.cos(net(w, x) * v)))(w)

    flops = [jax.jit(f).lower((w1, w2), v, x).compile().cost_analysis()["flops"] for f in (both, alone)]
    assert flops[0] < 1.1 * flops[1]  # the forward pass is a third of `alone`


# XLA's convolution, of which "auto" takes some, leaves out what it would multiply by the zeros of the padding.
@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize("form, least", [("gemm", 0.98), ("auto", 0.94)])
def test_no_zero_is_multiplied(form, least):
    x, w = normal(17, 1, 16, 16, 32), normal(18, 4, 4, 32, 32)
    useful = 3 * 2 * 16 * 16 * 16 * 32 * 32  # forward and two gradients; 4x that with zeros inserted
    back = jax.jit(
        lambda x, w, g: jax.vjp(lambda x, w: conv.conv_transpose(x, w, 2, 1, form=form), x, w)[1](g)
    )
    forward = jax.jit(lambda x, w: conv.conv_transpose(x, w, 2, 1, form=form))
    flops = forward.lower(x, w).compile().cost_analysis()["flops"]
    flops += back.lower(x, w, normal(19, 1, 32, 32, 32)).compile().cost_analysis()["flops"]
    assert least * useful < flops < 1.1 * useful


@pytest.mark.parametrize(
    "taps, tile, tolerance", [(3, 2, 2e-6), (3, 4, 1e-5), (4, 2, 1e-5)], ids=["F(2, 3)", "F(4, 3)", "F(2, 4)"]
)
@pytest.mark.parametrize(
    "n, size, pad, big_first",
    [
        (1, (8, 9), (0, 0), True),
        (2, (9, 7), (1, 1), True),
        (1, (6, 11), (0, 2), False),
        (2, (3, 4), (2, 1), False),
    ],
)
def test_winograds_sides_are_those_of_xlas_convolution(
    n, size, pad, big_first, taps, tile, tolerance, monkeypatch
):
    monkeypatch.setattr(winograd, "_MANY_PIXELS", 0 if tile == 4 else 10**6)
    small = tuple(s + 2 * p - taps + 1 for s, p in zip(size, pad, strict=True))
    shape = conv.Shape(size, small, (taps, taps), (1, 1), pad, big_first)
    assert winograd._matrices(shape, n).tile == tile
    kernel = normal(22, taps, taps, *((5, 4) if big_first else (4, 5)))
    operands = {"big": normal(20, n, *size, 5), "small": normal(21, n, *small, 4), "kernel": kernel}
    with jax.enable_x64(True):
        for out in operands:
            pair = [jnp.asarray(x, np.float64) for name, x in operands.items() if name != out]
            evaluate = jax.jit(functools.partial(winograd.evaluate, out=out, shape=shape))
            got = evaluate(*pair)
            close(got, conv._LAX[out](*pair, shape=shape), 1e-12)
            single = evaluate(*(x.astype(np.float32) for x in pair))
            assert single.dtype == np.float32
            close(single, got, tolerance)


@pytest.mark.parametrize("images, written_out", [(1, 3), (1, 4), (2, 1), (2, 2)])
def test_winograd_takes_so_many_images_at_a_time_as_the_cache_holds(images, written_out, monkeypatch):
    shape = conv.Shape((9, 7), (9, 7), (3, 3), (1, 1), (1, 1), True)
    monkeypatch.setattr(winograd, "_MANY_PIXELS", 0)
    monkeypatch.setattr(winograd, "_CACHED", images * 36 * 3 * 2 * 5 * 4 + 1)
    monkeypatch.setattr(winograd, "_WRITTEN_OUT", written_out)
    operands = {
        "big": normal(27, 4, 9, 7, 5),
        "small": normal(28, 4, 9, 7, 4),
        "kernel": normal(29, 3, 3, 5, 4),
    }
    with jax.enable_x64(True):
        for out in operands:
            pair = [jnp.asarray(x, np.float64) for name, x in operands.items() if name != out]
            evaluate = functools.partial(winograd.evaluate, out=out, shape=shape)
            program = str(jax.make_jaxpr(evaluate)(*pair))
            parts = 4 // images
            if parts <= written_out:
                assert "length=" not in program and program.count("dot_general[") == parts
            else:
                assert f"length={parts}" in program
            close(jax.jit(evaluate)(*pair), conv._LAX[out](*pair, shape=shape), 1e-12)


@pytest.mark.parametrize("taps, width, batch", [(3, 32, 36), (4, 128, 25)])
def test_winograd_is_what_auto_takes_for_wide_layers_with_every_derivative(taps, width, batch):
    x, w = normal(23, 2, 33, 34, width), normal(24, taps, taps, width, width) / 17

    def passes(form, x, w):
        def f(x, w):
            return conv.conv(x, w, padding=((1, 1), (0, 1)), form=form)

        def penalty(x):
            return jnp.sum(jax.grad(lambda x: jnp.sum(jnp.sin(f(x, w))))(x) ** 2)

        each = jax.vmap(lambda x: f(x[None], w)[0])(x)
        y, back = jax.vjp(f, x, w)
        return y, *back(jnp.cos(y)), jax.jvp(jax.grad(penalty), (x,), (jnp.cos(x),))[1], each

    with jax.enable_x64(True):
        x, w = x.astype(np.float64), w.astype(np.float64)
        auto, gemm = (jax.jit(functools.partial(passes, form)) for form in ("auto", "gemm"))
        # Winograd's algorithm alone has matrix products by position, in batches of 16, 25 or 36.
        batches = [f.lower(x, w).as_text().count(f"tensor<{batch}x") for f in (auto, gemm)]
        assert batches[0] > 0 and batches[1] == 0
        for got, wanted in zip(auto(x, w), gemm(x, w), strict=True):
            close(got, wanted, 1e-10)


@pytest.mark.parametrize("stride, kernel", [(1, 3), (2, 3), ((2, 3), 4), (1, 1)])
def test_a_row_of_padding_on_cpu_changes_nothing(stride, kernel):
    """XLA's convolution without any padding is slow there; what the row gives is dropped."""
    x, w = normal(29, 2, 13, 14, 5), normal(30, kernel, kernel, 5, 6)

    def plain(x, w):
        numbers = ("NHWC", "HWIO", "NHWC")
        strides = stride if isinstance(stride, tuple) else (stride, stride)
        return lax.conv_general_dilated(x, w, strides, "VALID", dimension_numbers=numbers)

    ours = jax.jit(lambda x, w: conv.conv(x, w, stride, form="lax"))
    close(ours(x, w), jax.jit(plain)(x, w), 1e-6)
    for platform, padded in (("cpu", kernel > 1), ("cuda", False)):
        program = ours.trace(x, w).lower(lowering_platforms=(platform,)).as_text()
        assert ("stablehlo.slice" in program) == padded


@pytest.mark.parametrize("n, small, big_first", [(1, (4, 4), True), (2, (2, 6), False), (2, (6, 4), True)])
def test_karatsubas_sides_are_those_of_xlas_convolution(n, small, big_first):
    big = tuple(2 * size for size in small)
    shape = conv.Shape(big, small, (4, 4), (2, 2), (1, 1), big_first)
    kernel = normal(27, 4, 4, *((5, 3) if big_first else (3, 5)))
    operands = {"big": normal(25, n, *big, 5), "small": normal(26, n, *small, 3), "kernel": kernel}
    with jax.enable_x64(True):
        for out in operands:
            pair = [jnp.asarray(x, np.float64) for name, x in operands.items() if name != out]
            evaluate = jax.jit(functools.partial(karatsuba.evaluate, out=out, shape=shape))
            got = evaluate(*pair)
            close(got, conv._LAX[out](*pair, shape=shape), 1e-12)
            single = evaluate(*(x.astype(np.float32) for x in pair))
            assert single.dtype == np.float32
            close(single, got, 2e-6)


def test_karatsuba_is_what_auto_takes_where_pixels_are_many():
    """Four batches of four products; fewer pixels or odd sizes leave it to others."""
    w = normal(28, 4, 4, 32, 32)

    def products(n, size):
        x = jax.ShapeDtypeStruct((n, size, size, 32), np.float32)
        return jax.jit(lambda x: conv.conv_transpose(x, w, 2, 1)).lower(x).as_text().count("dot_general")

    assert products(1, 64) == 4
    assert products(8, 32) == products(1, 65) == 1


def test_a_context_prefers_a_form_and_is_outdone_by_environment_and_argument(monkeypatch):
    x, w = normal(30, 1, 4, 4, 3), normal(31, 4, 4, 3, 2)
    jitted = jax.jit(lambda x, w: conv.conv_transpose(x, w, 2, 1))

    def is_product():
        text = jitted.lower(x, w).as_text()
        assert ("dot_general" in text) != ("stablehlo.convolution" in text)
        return "dot_general" in text

    assert is_product()
    with conv.prefer("lax"):  # the same function, traced anew
        assert not is_product()
        with conv.prefer("gemm"):
            assert is_product()
        text = jax.jit(lambda x, w: conv.conv_transpose(x, w, 2, 1, form="gemm")).lower(x, w).as_text()
        assert "dot_general" in text
    assert is_product()
    monkeypatch.setattr(conv, "DEFAULT_FORM", "gemm")
    with conv.prefer("lax"):
        assert conv._form(None) == "gemm"


def test_a_frugal_function_changes_its_form_once_for_each_shape_that_many_pixels_pass(monkeypatch):
    monkeypatch.setattr(conv, "_PAYING", 3 * 8 * 8)
    w, traced = normal(32, 3, 3, 2, 2), []

    def function(w, x, scale):
        traced.append((x.shape, conv._form(None)))
        return scale * conv.conv(x, w)

    frugal, x = conv.Frugal(function, static_argnames="scale"), normal(33, 1, 8, 8, 2)
    outputs = [frugal(w, x, scale=2) for _ in range(4)]
    assert traced == [((1, 8, 8, 2), "lax"), ((1, 8, 8, 2), "auto")]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[2], outputs[3])
    close(outputs[0], outputs[2], 2e-6)
    frugal(w, x[:, :4], scale=2)
    assert traced[2:] == [((1, 4, 8, 2), "lax")]


def test_a_users_mistake_is_told():
    x, w = np.ones((1, 4, 4, 3), np.float32), np.ones((5, 5, 3, 2), np.float32)
    with pytest.raises(jgan.UserError, match="4x4 pixels .* 5x5"):
        conv.conv(x, w)
    with pytest.raises(jgan.UserError, match="takes images"):
        conv.conv(x[0], w)
    with pytest.raises(jgan.UserError, match="takes images"):
        conv.conv_transpose(x[..., :2], w)
    with pytest.raises(jgan.UserError, match="leaves no pixel"):
        conv.conv_transpose(x[:, :1, :1], w, 2, 3)
    with pytest.raises(jgan.UserError, match="'cudnn' is unknown"):
        conv.conv(x, w, padding=((1, 1), (1, 1)), form="cudnn")
