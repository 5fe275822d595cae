"""Floating-point operations a training step cannot do without, in closed form.

Only convolutions are counted, a multiplication and an addition each as one operation, padding as if it
were pixels (the field's convention). A transposed convolution costs what its input pixels need, not what a
convolution over inserted zeros would. What no update needs is left out: the gradient of a first layer to
images that nothing trains. A net is the list of its layers' multiply-accumulates (MAC) for one image, first
layer first.
"""

import itertools


def unet(size, levels, channels=(3, 3), width=64, skips=True):
    """MACs per layer of a U-Net of `levels` (without `skips`, an encoder-decoder) on size x size pixels."""
    widths = [width * min(2**k, 8) for k in range(levels)]
    down, up = [], []
    for k, out in enumerate(widths):
        pixels = (size // 2 ** (k + 1)) ** 2
        down.append(pixels * 16 * (widths[k - 1] if k else channels[0]) * out)
        into = out * (2 if skips and k < levels - 1 else 1)
        up.append(pixels * 16 * into * (widths[k - 1] if k else channels[1]))
    return down + up[::-1]


def resnet(size, blocks, channels=(3, 3), width=64):
    """MACs per layer of the residual generator with `blocks` on size x size pixels."""
    whole, half, quarter = size**2, (size // 2) ** 2, (size // 4) ** 2
    scale = 9 * 2 * width**2  # 3x3 between one width and its double
    down = [half * scale, quarter * 4 * scale]
    body = [quarter * 9 * 16 * width**2] * (2 * blocks)
    return [whole * 49 * channels[0] * width, *down, *body, *down[::-1], whole * 49 * width * channels[1]]


def patch(size, n_layers=3, channels=6, width=64):
    """MACs per layer of the PatchGAN with `n_layers` on size x size pixels."""
    widths = [channels] + [width * min(2**k, 8) for k in range(n_layers + 1)] + [1]
    layers = []
    for k, (into, out) in enumerate(itertools.pairwise(widths)):
        size = size // 2 if k < n_layers else size - 1
        layers.append(size**2 * 16 * into * out)
    return layers


def pixel(size, channels=6, width=64):
    """MACs per layer of the 1x1 PixelGAN on size x size pixels."""
    return [size**2 * macs for macs in (channels * width, 2 * width**2, 2 * width)]


def pix2pix(generator, discriminator, batch=1, fake_share=0.5):
    """FLOPs of one pix2pix update of both nets.

    G runs forward once and back once (to its weights and, but for the first layer, its inputs). D runs
    forward three times; back to its weights for a fake and a real batch; and back to the fake image alone,
    which is `fake_share` of the channels it is shown (1 where D is not shown the input).
    """
    g, d = sum(generator), sum(discriminator)
    forward = g + 3 * d
    dis_backward = 2 * (2 * d - discriminator[0])
    gen_backward = d - (1 - fake_share) * discriminator[0] + 2 * g - generator[0]
    return round(2 * batch * (forward + dis_backward + gen_backward))


def cyclegan(generator, discriminator, batch=1, identity=True):
    """FLOPs of one CycleGAN update of both pairs of nets, both generators of the same size.

    Each generator passes its own domain, the other's fake (the cycle) and, with `identity`, the images of the
    domain it leads to; only a fake needs a gradient. Each D judges its fake for G, forward and back to the image, and
    a real image and one from the pool for itself, forward and back to its weights.
    """
    g, d = sum(generator), sum(discriminator)
    to_real, to_fake = 3 * g - generator[0], 3 * g
    of_generator = (2 if identity else 1) * to_real + to_fake
    of_discriminator = 2 * d + 2 * (3 * d - discriminator[0])
    return round(2 * batch * 2 * (of_generator + of_discriminator))


def encoder(size, blocks, channels=3, width=64):
    """MACs per layer of BiCycleGAN's residual encoder on size x size pixels.

    The mean after a block's second 3x3 convolution makes it one of 4x4 with stride 2.
    """
    size //= 2
    layers, into = [size**2 * 16 * channels * width], width
    for k in range(2, blocks + 2):
        out = width * min(k, 4)
        layers += [size**2 * 9 * into**2, (size // 2) ** 2 * 16 * into * out, (size // 2) ** 2 * into * out]
        size, into = size // 2, out
    return layers


def bicyclegan(generator, encoder, discriminator, batch=2):
    """FLOPs of one BiCycleGAN update of all four nets, both discriminators alike.

    Half of the batch passes G with the encoded code and with a random one; what a constant plane adds is left out. E
    passes half of the real images, and the pictures of random codes, back to the image alone. Each D judges half a
    batch of fakes for G, forward and back to the image, and as many fakes and real images for itself. Its layers are
    those of its first scale and then those of the second.
    """
    g, e, d = sum(generator), sum(encoder), sum(discriminator)
    first = discriminator[0] + discriminator[len(discriminator) // 2]
    of_encoder = (3 * e - encoder[0] + 2 * e) / 2
    of_discriminator = 2 * d + 2 * (3 * d - first)
    return round(2 * batch * (3 * g - generator[0] + of_encoder + of_discriminator))


def stargan_generator(size, blocks=6, channels=3, width=64):
    """MACs per layer of StarGAN's generator on size x size pixels, but for what label planes add."""
    whole, half, quarter = size**2, (size // 2) ** 2, (size // 4) ** 2
    down = [half * 16 * 2 * width**2, quarter * 16 * 8 * width**2]
    body = [quarter * 9 * 16 * width**2] * (2 * blocks)
    ends = [whole * 49 * channels * width]
    return [*ends, *down, *body, *down[::-1], *ends]


def stargan_discriminator(size, layers=6, classes=5, channels=3, width=64):
    """MACs per layer of StarGAN's discriminator on size x size pixels; the last two are its patches and its classes."""
    found, into = [], channels
    for k in range(layers):
        size //= 2
        found.append(size**2 * 16 * into * width * 2**k)
        into = width * 2**k
    return [*found, size**2 * 9 * into, size**2 * into * classes]


def stargan(generator, discriminator, batch=4, critic=5):
    """FLOPs of one StarGAN cycle of `critic` updates of D, the last of them with one of G.

    For each update of D, G passes forward once, and D passes real and generated images forward, and back to its
    weights. Its penalty passes points between them forward and back to the image; back through both leads to the
    weights and, from the image up, through each layer once more, but there is no slope through activations that
    are linear on either side of 0. For G, D judges the fake, forward and back to it; G passes it forward (the cycle)
    and back to the weights and to the fake, and the fake back to the weights.
    """
    g, (*trunk, patches, classes) = sum(generator), discriminator
    t = sum(trunk)
    judged = 2 * (t + patches) + classes
    of_weights = 2 * judged - 2 * trunk[0]
    penalty = t + (t + patches) + (t + patches) + t
    of_critic = g + judged + of_weights + penalty
    of_generator = 2 * (t + patches + classes) + g + 2 * g + 2 * g - generator[0]
    return round(2 * batch * (critic * of_critic + of_generator))


def stylegan2_synthesis(size, base, most=512, features=3):
    """MACs per layer of StyleGAN2's synthesis (skip): two at 4 pixels, then three of every size."""
    width = {2**k: min(base // 2**k, most) for k in range(2, size.bit_length())}
    layers = [16 * 9 * width[4] ** 2, 16 * width[4] * features]
    for r in list(width)[1:]:
        layers += [
            (r // 2) ** 2 * 9 * width[r // 2] * width[r],
            r**2 * 9 * width[r] ** 2,
            r**2 * width[r] * features,
        ]
    return layers


def stylegan2_discriminator(size, base, most=512, features=3):
    """MACs per layer of its residual discriminator: from the image, then three of every size, and the last."""
    width = {2**k: min(base // 2**k, most) for k in range(2, size.bit_length())}
    layers = [size**2 * features * width[size]]
    for r in list(width)[:0:-1]:
        half = (r // 2) ** 2 * width[r] * width[r // 2]
        layers += [r**2 * 9 * width[r] ** 2, 9 * half, half]
    return [*layers, 16 * 9 * (width[4] + 1) * width[4], 16 * width[4] ** 2, width[4]]


def stylegan2(g, d, batch=1):
    """FLOPs of sixteen iterations with their regularisers, about: resampling and the mapping are left out.

    In each, G passes its images forward twice and back once, to weights and activations; D passes fakes forward and
    back to the images for G, and fakes and real images forward and back for itself. Four path lengths of half a batch
    are a forward pass, a backward pass to the styles, and the backward passes of both; a penalty of D, whose
    activations are piecewise linear, has those of its backward pass alone.
    """
    each = 4 * sum(g) + (2 + 2 * 3) * sum(d)
    return 2 * batch * (16 * each + 4 * 6 * sum(g) // 2 + 4 * sum(d))
