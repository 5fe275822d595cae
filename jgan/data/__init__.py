"""Data: from files, or from nothing but a seed, to batches of numpy arrays. Knows no JAX.

`pipeline` is what programs call; it stands on `examples` (random access to a split, each file looked
at first), `folder` (layouts), `named` (prepared sets of TensorFlow Datasets, which `prepare` makes), `images`
(formats), `pairs` (pairs from single photos), `transforms` (geometry), `cache` and `check`; `facades` and
`objects` draw the built-in sets.

Batch kinds are dicts of arrays of fixed shape, pixels in the files' own type: uint8 or uint16 over
their whole range, or float32 in [-1, 1].

- `aligned`: {"a": [n, h, w, ca], "b": [n, h, w, cb]}; a is always the input, b the target.
- `unaligned`: the same of two domains; a and b have nothing to do with each other, not even the crop.
- `images`: {"images": [n, h, w, c]}; single images, never squashed.
"""
