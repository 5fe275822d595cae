// Drawing on pixels without antialiasing, because a label map has no colours between those of labels. All functions
// work on {width, height, data: Uint32Array}, with colours as 32-bit words, as a canvas has them in memory.

/** An image of one colour. */
export function create(width, height, colour) {
  return { width, height, data: new Uint32Array(width * height).fill(colour) };
}

/** The word of an [r, g, b]; canvases have bytes, and all machines with browsers are little-endian. */
export const word = ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

/** A line of that width with round ends, from one point to another; both [x, y] in pixels. */
export function line(image, [x0, y0], [x1, y1], width, colour) {
  const r = Math.max(width, 1) / 2, dx = x1 - x0, dy = y1 - y0, long = dx * dx + dy * dy || 1;
  const [left, right] = span(Math.min(x0, x1) - r, Math.max(x0, x1) + r, image.width);
  const [top, bottom] = span(Math.min(y0, y1) - r, Math.max(y0, y1) + r, image.height);
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const px = x + 0.5 - x0, py = y + 0.5 - y0;
      const t = Math.min(1, Math.max(0, (px * dx + py * dy) / long));
      if ((px - t * dx) ** 2 + (py - t * dy) ** 2 <= r * r + 0.01) image.data[y * image.width + x] = colour;
    }
  }
}

/** A filled rectangle between two corners, at least one pixel. */
export function rectangle(image, [x0, y0], [x1, y1], colour) {
  const [left, right] = span(Math.floor(Math.min(x0, x1)), Math.max(Math.floor(Math.max(x0, x1)), Math.floor(Math.min(x0, x1)) + 1), image.width);
  const [top, bottom] = span(Math.floor(Math.min(y0, y1)), Math.max(Math.floor(Math.max(y0, y1)), Math.floor(Math.min(y0, y1)) + 1), image.height);
  for (let y = top; y < bottom; y++) image.data.fill(colour, y * image.width + left, y * image.width + right);
}

/** Changes the colour of the connected area of one colour around a point. */
export function fill(image, [x, y], colour) {
  const { width, height, data } = image;
  const start = clamp(Math.floor(y), height) * width + clamp(Math.floor(x), width), old = data[start];
  if (old === colour) return;
  const stack = [start];
  data[start] = colour;
  while (stack.length) {
    const at = stack.pop(), column = at % width;
    for (const [next, there] of [[at - 1, column > 0], [at + 1, column < width - 1], [at - width, true], [at + width, true]]) {
      if (there && next >= 0 && next < data.length && data[next] === old) {
        data[next] = colour;
        stack.push(next);
      }
    }
  }
}

const clamp = (i, length) => Math.min(length - 1, Math.max(0, i));
const span = (from, to, length) => [Math.max(0, Math.floor(from)), Math.min(length, Math.ceil(to))];
