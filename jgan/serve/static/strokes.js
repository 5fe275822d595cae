// Strokes as in the edit document: functions that make them of points, compare them, erase them and draw them.

export const PAD = 384; // the side of the pad in the units of brush sizes

/** The square of the canvas that the pad shows: {left, top, side, width, height}, in canvas pixels. */
export function boxOf(drawing) {
  const [height, width] = drawing?.size ?? [PAD, PAD];
  const [top, left, side] = drawing?.photo?.box ?? [0, 0, Math.max(height, width)];
  return { left, top, side, width, height };
}

/** The point on the canvas at (u, v) of the pad, each 0 to 1; never outside the canvas. */
export function pointAt(box, u, v) {
  const x = Math.min(box.width, Math.max(0, box.left + u * box.side));
  const y = Math.min(box.height, Math.max(0, box.top + v * box.side));
  return [round(x), round(y)];
}

export const round = (x) => Math.round(x * 100) / 100;

/** A brush size in canvas pixels. */
export const extent = (box, size) => round(Math.min(Math.max(box.width, box.height), (size / PAD) * box.side));

/** Whether a stroke from the server is the one that was sent. */
export function same(a, b) {
  if (a.brush !== b.brush) return false;
  if (a.brush === "warp") return near(a.source, b.source) && near(a.target, b.target);
  return a.points.length === b.points.length && near(a.points[0], b.points[0]) && near(a.points.at(-1), b.points.at(-1));
}

const near = (p, q) => Math.abs(p[0] - q[0]) < 0.01 && Math.abs(p[1] - q[1]) < 0.01;

/** Whether a disc of that radius around a point touches the stroke. */
export function touches(stroke, [x, y], radius) {
  if (stroke.brush === "warp") {
    const half = stroke.side / 2 + radius;
    const inside = ([cx, cy]) => Math.abs(x - cx) <= half && Math.abs(y - cy) <= half;
    return inside(stroke.target) || distance([x, y], stroke.source, stroke.target) <= radius;
  }
  const reach = radius + stroke.width / 2;
  const { points } = stroke;
  if (points.length === 1) return Math.hypot(x - points[0][0], y - points[0][1]) <= reach;
  return points.some((p, i) => i > 0 && distance([x, y], points[i - 1], p) <= reach);
}

function distance([x, y], a, b) {
  const dx = b[0] - a[0], dy = b[1] - a[1];
  const t = Math.min(1, Math.max(0, ((x - a[0]) * dx + (y - a[1]) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x - a[0] - t * dx, y - a[1] - t * dy);
}

/** The points of a line without those near the point before, at most `limit`, so that messages are small. */
export function thin(points, step, limit = 2000) {
  const kept = points.filter((p, i) => i === 0 || i === points.length - 1 || far(p, points[i - 1], step));
  const every = Math.ceil(kept.length / limit);
  return every > 1 ? kept.filter((_, i) => i % every === 0 || i === kept.length - 1) : kept;
}

export const far = (p, q, step) => Math.hypot(p[0] - q[0], p[1] - q[1]) >= step;

export const css = (rgb) => `rgb(${rgb.map(Math.round).join(" ")})`;

/**
 * Draws a stroke in canvas pixels; `pixel` is the length of a CSS pixel there.
 *
 * Colours are slightly transparent, so that the picture below can be seen; outlines are dotted in grey on white, which
 * is visible on all pictures; a warp shows the place of its square before and after.
 */
export function draw(ctx, stroke, pixel, faded = false) {
  if (stroke.brush === "mask") return; // all of them are drawn together
  ctx.save();
  ctx.lineCap = ctx.lineJoin = "round";
  ctx.globalAlpha = faded ? 0.18 : 1;
  if (stroke.brush === "warp") drawWarp(ctx, stroke, pixel);
  else if (stroke.brush === "colour") {
    ctx.globalAlpha *= 0.78;
    line(ctx, stroke.points, Math.max(stroke.width, pixel), css(stroke.colour));
  } else {
    line(ctx, stroke.points, 5 * pixel, stroke.erase ? "rgb(255 255 255 / .55)" : "rgb(255 255 255 / .75)");
    ctx.setLineDash([0.1, 5.5 * pixel]);
    line(ctx, stroke.points, 3.2 * pixel, stroke.erase ? "#c0392b" : "#5b5b5b");
  }
  ctx.restore();
}

function line(ctx, points, width, style) {
  ctx.strokeStyle = style;
  ctx.lineWidth = width;
  ctx.beginPath();
  ctx.moveTo(...points[0]);
  if (points.length < 3) ctx.lineTo(...(points[1] ?? points[0]));
  // The curve passes through the middles between points, which rounds the corners of a fast stroke.
  for (let i = 1; i < points.length - 1; i++) {
    const [p, q] = [points[i], points[i + 1]];
    ctx.quadraticCurveTo(p[0], p[1], (p[0] + q[0]) / 2, (p[1] + q[1]) / 2);
  }
  if (points.length >= 3) ctx.lineTo(...points.at(-1));
  ctx.stroke();
}

/** Draws the mask of all strokes of it, later ones over earlier ones, on a context with the canvas's transformation. */
export function drawMask(ctx, strokes, pixel) {
  const lines = strokes.filter(({ brush }) => brush === "mask");
  if (!lines.length) return;
  const layer = new OffscreenCanvas(ctx.canvas.width, ctx.canvas.height), own = layer.getContext("2d");
  own.setTransform(ctx.getTransform());
  own.lineCap = own.lineJoin = "round";
  for (const { points, width, erase } of lines) {
    own.globalCompositeOperation = erase ? "destination-out" : "source-over";
    line(own, points, Math.max(width, pixel), "#7048e8");
  }
  ctx.save();
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  ctx.globalAlpha = 0.45;
  ctx.drawImage(layer, 0, 0);
  ctx.restore();
}

function drawWarp(ctx, { source, target, side }, pixel) {
  square(ctx, source, side, pixel, "rgb(255 255 255 / .9)", [4 * pixel, 4 * pixel]);
  ctx.setLineDash([2 * pixel, 5 * pixel]);
  for (const [style, width] of [["rgb(0 0 0 / .55)", 4], ["#7ee0a1", 2]]) line(ctx, [source, target], width * pixel, style);
  ctx.setLineDash([]);
  square(ctx, target, side, pixel, "#7ee0a1", []);
}

/** Draws the outline of a square around a centre, so that it is visible on all pictures. */
export function square(ctx, [x, y], side, pixel, style, dash) {
  for (const [colour, width] of [["rgb(0 0 0 / .5)", 3.5], [style, 1.75]]) {
    ctx.strokeStyle = colour;
    ctx.lineWidth = width * pixel;
    ctx.setLineDash(colour === style ? dash : []);
    ctx.strokeRect(x - side / 2, y - side / 2, side, side);
  }
  ctx.setLineDash([]);
}
