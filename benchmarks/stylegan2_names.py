"""Parameters of our StyleGAN2 under the names and in the layouts of its authors, for comparisons with PyTorch."""


def named(tree, prefix=""):
    """{name in the authors' files: array in their layout} of a net's parameters or of what goes with them."""
    found = {}
    for name, x in tree.items():
        name = f"{prefix}{name}"
        if isinstance(x, dict):
            found |= named(x, name + ".")
        elif name.endswith("b4.fc.kernel"):  # (y, x, c) here, (c, y, x) there
            found["b4.fc.weight"] = (
                x.reshape(4, 4, -1, x.shape[1]).transpose(3, 2, 0, 1).reshape(x.shape[::-1])
            )
        elif name.endswith("kernel"):
            found[name[:-6] + "weight"] = x.transpose((3, 2, 0, 1) if x.ndim == 4 else (1, 0))
        else:
            found[name] = x.transpose(2, 0, 1) if name.endswith("const") else x
    return found
