"""TIFF files byte by byte, from the text of TIFF 6.0 (Adobe, 1992), its supplements and BigTIFF; no library's code."""

import struct
import zlib

import numpy as np

CODES = {"none": 1, "lzw": 5, "deflate": 8, "packbits": 32773}


def packed(rows: np.ndarray, bits: int, order: str) -> bytes:
    """Rows [h, n] of numbers as bytes: one after another from the high bit on, each row begins at a byte."""
    if rows.dtype.kind == "f" or bits >= 8 and not bits % 8:
        return rows.astype(rows.dtype.newbyteorder(order)).tobytes()
    planes = [(rows >> np.uint16(bit)) & 1 for bit in range(bits - 1, -1, -1)]
    return np.packbits(np.stack(planes, -1).reshape(len(rows), -1), axis=1).tobytes()


def differences(block: np.ndarray, predictor: int, order: str) -> np.ndarray:
    """Predictor 2 (section 14): each sample less the one of the same band on its left; [h, w, n]."""
    if predictor == 1:
        return block
    if predictor == 2:
        moved = np.zeros_like(block)
        moved[:, 1:] = block[:, :-1]
        return block - moved
    # Predictor 3 (technical note 3): the bytes of a row by their significance, then their differences.
    height, width, samples = block.shape
    octets = np.frombuffer(block.astype(">f4").tobytes(), np.uint8).reshape(height, width * samples, 4)
    rows = octets.transpose(0, 2, 1).reshape(height, -1)
    moved = np.zeros_like(rows)
    moved[:, samples:] = rows[:, :-samples]
    return rows - moved


def packbits(data: bytes) -> bytes:
    """Section 9, with literal runs alone but for a run of 3 at the beginning where there is one."""
    made, place = b"", 0
    if data[:3] == data[:1] * 3:
        made, place = struct.pack("bB", -2, data[0]), 3
    for start in range(place, len(data), 128):
        part = data[start : start + 128]
        made += bytes([len(part) - 1]) + part
    return made


def lzw(data: bytes) -> bytes:
    """Section 13 with 9-bit codes alone: Clear again before the table has more than 511 of them."""
    codes = []
    for start in range(0, len(data), 200):
        codes += [256, *data[start : start + 200]]
    text = "".join(f"{code:09b}" for code in [*codes, 257])
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def written(
    samples: np.ndarray,
    photometric: int,
    *,
    bits: int = 0,
    order: str = "<",
    big: bool = False,
    tile: int = 0,
    rows: int = 0,
    planar: bool = False,
    compression: str = "none",
    predictor: int = 1,
    extra: tuple[int, ...] = (),
    tags: dict | None = None,
    pages: int = 1,
    kinds: tuple[int, ...] = (),
) -> bytes:
    """The bytes of a file with samples [h, w, n]; `tags` {tag: (type, values)} besides those that follow from the rest.

    Every page but the last one kept holds zeros only where `kinds`, their NewSubfileType, is given and not 0.
    """
    height, width, count = samples.shape
    bits = bits or samples.dtype.itemsize * 8
    compress = {"none": bytes, "deflate": zlib.compress, "packbits": packbits, "lzw": lzw}[compression]
    blocks = []
    for plane in np.split(samples, count, -1) if planar else [samples]:
        for y in range(0, height, tile or rows or height):
            strip = plane[y : y + (tile or rows or height)]
            for x in range(0, width, tile or width):
                block = strip[:, x : x + (tile or width)]
                if tile:
                    block = np.pad(
                        block, ((0, tile - block.shape[0]), (0, tile - block.shape[1]), (0, 0)), "edge"
                    )
                block = differences(block, predictor, order)
                data = packed(block.reshape(len(block), -1), 8 if predictor == 3 else bits, order)
                blocks.append(compress(data))
    form = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    fields = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits] * count),
        259: (3, [CODES[compression]]),
        262: (3, [photometric]),
        277: (3, [count]),
        284: (3, [2 if planar else 1]),
        339: (3, [form] * count),
    }
    if predictor != 1:
        fields[317] = (3, [predictor])
    if extra:
        fields[338] = (3, list(extra))
    if tile:
        fields |= {322: (4, [tile]), 323: (4, [tile])}
    else:
        fields[278] = (4, [rows or height])
    return assembled([fields | (tags or {})] * pages, [blocks] * pages, kinds or (0,) * pages, order, big)


def assembled(pages, blocks, kinds, order: str, big: bool) -> bytes:
    """The file of pages, each of its fields and its strips or tiles."""
    offset = "Q" if big else "I"
    mark = b"II" if order == "<" else b"MM"
    data = mark + (struct.pack(f"{order}HHHQ", 43, 8, 0, 16) if big else struct.pack(f"{order}HI", 42, 8))
    for k, (fields, parts, kind) in enumerate(zip(pages, blocks, kinds, strict=True)):
        fields = dict(fields)
        if kind:
            fields[254] = (4, [kind])
        places = (324, 325) if 322 in fields else (273, 279)
        fields |= {places[0]: (16 if big else 4, [0] * len(parts)), places[1]: (4, list(map(len, parts)))}
        size = (8 + 20 * len(fields) + 8) if big else (2 + 12 * len(fields) + 4)
        after = len(data) + size
        body = b""
        for _ in range(2):  # the second time the places of the strips are known
            entries, body = b"", b""
            for tag, (form, values) in sorted(fields.items()):
                letter, width = {
                    1: ("B", 1), 2: ("B", 1), 3: ("H", 2), 4: ("I", 4), 5: ("I", 4), 7: ("B", 1), 16: ("Q", 8)
                }[form]  # fmt: skip
                content = struct.pack(f"{order}{len(values)}{letter}", *values)
                number = len(values) // (2 if form == 5 else 1)
                room = 8 if big else 4
                if len(content) > room:
                    place = struct.pack(order + offset, after + len(body))
                    body += content + b"\0" * (len(content) % 2)
                else:
                    place = content.ljust(room, b"\0")
                entries += struct.pack(f"{order}HH{offset}", tag, form, number) + place
            starts = np.cumsum([after + len(body), *map(len, parts)])[:-1]
            fields[places[0]] = (fields[places[0]][0], [int(x) for x in starts])
        end = after + len(body) + sum(map(len, parts))
        end += end % 2
        following = end if k + 1 < len(pages) else 0
        data += struct.pack(order + ("Q" if big else "H"), len(fields)) + entries
        data += struct.pack(order + offset, following) + body + b"".join(parts)
        data += b"\0" * (len(data) % 2)
    return data
