"""Data: from files, or from nothing but a seed, to batches of numpy arrays. Knows no JAX.

Programs call `pipeline`, and those functions of `examples` that make an input from a photo and a picture from an
output. Each file below calls only files after it:

- `pipeline`: from a config to batches; order, random numbers and workers.
- `examples`: random access to a split, whose files are all read once before (`check`, `notes`), and `asked`: what a
  config asks of a picture.
- `sources`: `folder` (files; `layouts` finds them, `labels` those with labels, which folders or `lists` of attributes
  give), `named` (prepared sets of TensorFlow Datasets, which `prepare` makes) and `drawn` (`facades` and `objects`).
  Each has one `open`, which returns an `entry.Source`; the other files use nothing else of it.
- `framing` (the channels of a picture), `pairs` (made of single photos), `transforms` (geometry, by class of field),
  `cache` (decoded pixels).
- `images`: files of all formats, by the decoders `formats`, `tiff` and `npy`; `outputs`: folders that no search enters.

Batch kinds are dicts of arrays of fixed shape, and `jgan.fields` says what is in them. Pixels have the files' own type:
uint8 or uint16 over their whole range, or float32 in [-1, 1].

- `aligned`: {"a": [n, h, w, ca], "b": [n, h, w, cb]}; a is always the input, b the target.
- `unaligned`: the same of two domains; a and b have nothing to do with each other, not even the crop.
- `images`: {"images": [n, h, w, c]}; single images, never squashed.
- `labelled`: {"images": [n, h, w, c], "label"}; the same, each with the number of its class (int32 [n]) or with its
  attributes (float32 [n, k] from 0, absent, to 1, present; NaN where they are not known).

Facts that only the data contain, the channels of pictures and the names of classes or attributes, are in
`Stream.facts`. Training writes them into the config, so that `fields.of` describes the batches exactly and a run knows
its labels when it is read again.
"""
