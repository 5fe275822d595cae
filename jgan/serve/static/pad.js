// The drawing pad: the picture, and above it the strokes, which are drawn at once, without waiting for the server.

import { boxOf, css, draw, drawMask, extent, pointAt, square } from "./strokes.js";
import { createHand } from "./hand.js";
import { say } from "./say.js";

const $ = (id) => document.getElementById(id);

export function createPad(store, session) {
  const pad = $("pad"), picture = $("picture"), ink = $("ink");
  const brush = { at: null, keyboard: false, down: false }; // at: position (u, v) of the pointer, or null
  let planned = 0;

  const redraw = () => (planned ||= requestAnimationFrame(() => ((planned = 0), drawInk())));
  const hand = createHand(store, session, { redraw, grab, pick });

  /** Adapts the canvases to the size of the pad. */
  function fit() {
    for (const canvas of [picture, ink]) {
      const side = Math.round(pad.clientWidth * devicePixelRatio);
      if (canvas.width !== side) canvas.width = canvas.height = side;
    }
    showPicture();
    drawInk();
  }

  /** Draws the picture of the newest frame. */
  function showPicture() {
    const { frame } = store.state;
    const ctx = picture.getContext("2d");
    if (!frame) return ctx.clearRect(0, 0, picture.width, picture.height);
    const { width, height } = frame.header;
    ctx.imageSmoothingQuality = "high";
    ctx.drawImage(frame.bitmap, 0, 0, width, height, 0, 0, picture.width, picture.height);
  }

  /** Draws all strokes and the cursor. */
  function drawInk() {
    const { drawing, pending, strokesShown } = store.state;
    const ctx = ink.getContext("2d"), box = boxOf(drawing);
    const scale = ink.width / box.side, pixel = devicePixelRatio / scale;
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, ink.width, ink.height);
    ctx.setTransform(scale, 0, 0, scale, -box.left * scale, -box.top * scale);
    shadeMargins(ctx, box);
    if (strokesShown) {
      const all = [...(drawing?.strokes ?? []).filter(({ id }) => !hand.marked.has(id)), ...pending.map(({ stroke }) => stroke)];
      drawMask(ctx, hand.stroke ? [...all, hand.stroke] : all, pixel);
      for (const stroke of drawing?.strokes ?? []) draw(ctx, stroke, pixel, hand.marked.has(stroke.id));
      for (const { stroke } of pending) draw(ctx, stroke, pixel);
    }
    if (hand.stroke) {
      if (hand.patch) drawPatch(ctx, hand.stroke, hand.patch);
      draw(ctx, hand.stroke, pixel);
    } else if (hand.source) {
      if (hand.patch) drawPatch(ctx, { target: hand.source, side: hand.side }, hand.patch);
      square(ctx, hand.source, hand.side, pixel, "#7ee0a1", []);
    }
    if (brush.at && !hand.stroke) drawCursor(ctx, box, pixel);
  }

  /** Darkens the parts of a letterbox beside the photo, on which strokes have no effect. */
  function shadeMargins(ctx, box) {
    if (box.width === box.height) return;
    ctx.fillStyle = getComputedStyle(ink).color; // the colour of the theme for it
    const rows = [[box.top, 0], [box.height, box.top + box.side]];
    const columns = [[box.left, 0], [box.width, box.left + box.side]];
    for (const [a, b] of rows) if (b > a) ctx.fillRect(box.left, a, box.side, b - a);
    for (const [a, b] of columns) if (b > a) ctx.fillRect(a, box.top, b - a, box.side);
  }

  /** Draws the patch of a warp at its target. */
  function drawPatch(ctx, { target, side }, patch) {
    ctx.save();
    ctx.globalAlpha = 0.85;
    ctx.drawImage(patch, target[0] - side / 2, target[1] - side / 2, side, side);
    ctx.restore();
  }

  /** Draws the brush at the position of the pointer. */
  function drawCursor(ctx, box, pixel) {
    const { brush: name, sizes, colour, picking } = store.state;
    const [x, y] = [box.left + brush.at[0] * box.side, box.top + brush.at[1] * box.side];
    const size = extent(box, sizes[name]);
    if (picking || name === "warp") {
      if (name === "warp" && !picking) return square(ctx, [x, y], size, pixel, "#fff", [3 * pixel, 3 * pixel]);
      return cross(ctx, x, y, pixel);
    }
    ctx.beginPath();
    ctx.arc(x, y, Math.max(size / 2, 2.5 * pixel), 0, 2 * Math.PI);
    ctx.globalAlpha = 0.35;
    ctx.fillStyle = name === "colour" ? css(colour) : name === "sketch" ? "#888" : name === "mask" ? "#7048e8" : "#fff";
    ctx.fill();
    ctx.globalAlpha = 1;
    for (const [style, width] of [["rgb(0 0 0 / .6)", 2.6], ["#fff", 1.2]]) {
      ctx.strokeStyle = style;
      ctx.lineWidth = width * pixel;
      ctx.stroke();
    }
    if (brush.keyboard) cross(ctx, x, y, pixel);
  }

  function cross(ctx, x, y, pixel) {
    for (const [style, width] of [["rgb(0 0 0 / .6)", 3], ["#fff", 1.4]]) {
      ctx.strokeStyle = style;
      ctx.lineWidth = width * pixel;
      ctx.beginPath();
      ctx.moveTo(x - 9 * pixel, y), ctx.lineTo(x + 9 * pixel, y);
      ctx.moveTo(x, y - 9 * pixel), ctx.lineTo(x, y + 9 * pixel);
      ctx.stroke();
    }
  }

  /** A copy of the picture in a square of the canvas, the patch that a warp moves. */
  function grab(centre, side) {
    const box = boxOf(store.state.drawing), scale = picture.width / box.side;
    const patch = document.createElement("canvas");
    patch.width = patch.height = Math.max(1, Math.round(side * scale));
    const [x, y] = [(centre[0] - box.left - side / 2) * scale, (centre[1] - box.top - side / 2) * scale];
    patch.getContext("2d").drawImage(picture, -x, -y);
    return patch;
  }

  /** Takes the colour under (u, v) for the brush. */
  function pick(u, v) {
    const at = [u, v].map((t) => Math.min(picture.width - 1, Math.max(0, Math.floor(t * picture.width))));
    const colour = [...picture.getContext("2d").getImageData(...at, 1, 1).data].slice(0, 3);
    store.set({ colour, picking: false, brush: "colour" });
  }

  const place = (event) => {
    const frame = pad.getBoundingClientRect();
    return [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
  };

  pad.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button !== 0 || !store.state.drawing || store.state.busy) return;
    event.preventDefault();
    pad.focus({ preventScroll: true });
    pad.setPointerCapture(event.pointerId);
    brush.keyboard = false;
    hand.down(...(brush.at = place(event)), event.altKey);
    brush.down = true;
  });
  pad.addEventListener("pointermove", (event) => {
    if (!event.isPrimary) return;
    brush.at = place(event);
    if (brush.down) for (const part of parts(event)) hand.move(...place(part));
    hover();
    redraw();
  });
  const parts = (event) => {
    const all = event.getCoalescedEvents?.() ?? [];
    return all.length ? all : [event];
  };
  pad.addEventListener("pointerup", (event) => {
    if (!event.isPrimary || !brush.down) return;
    brush.down = false;
    hand.up();
    if (event.pointerType !== "mouse") leave();
    redraw();
  });
  pad.addEventListener("pointercancel", () => ((brush.down = false), hand.cancel(), leave()));
  pad.addEventListener("pointerleave", () => brush.down || brush.keyboard || leave());
  pad.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    if (store.state.brush === "warp") hand.take(...place(event));
    else $("colour").showPicker?.();
  });
  pad.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      hand.resize(event.deltaY < 0 ? 1 : -1);
    },
    { passive: false },
  );
  pad.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step) {
      const by = event.shiftKey ? 0.05 : 0.0125;
      const from = brush.at ?? [0.5, 0.5];
      brush.at = from.map((t, i) => Math.min(1, Math.max(0, t + step[i] * by)));
      brush.keyboard = true;
      if (brush.down) hand.move(...brush.at);
      hover();
    } else if (event.key === " ") {
      brush.at ??= [0.5, 0.5];
      brush.keyboard = true;
      if (brush.down) hand.up();
      else if (store.state.drawing && !store.state.busy) hand.down(...brush.at, false);
      brush.down = !brush.down;
    } else if (event.key === "Escape") {
      brush.down = false;
      hand.cancel();
    } else return;
    event.preventDefault();
    redraw();
  });
  pad.addEventListener("blur", () => {
    if (brush.keyboard && !brush.down) leave();
  });

  /** Hides the cursor. */
  function leave() {
    brush.at = null;
    brush.keyboard = false;
    redraw();
  }

  let sent = 0;
  /** Sends the position of the pointer if the picture has a shadow, at most every 60 milliseconds. */
  function hover() {
    if (!store.state.shadow || !brush.at || Date.now() - sent < 60) return;
    sent = Date.now();
    session.cursor(pointAt(boxOf(store.state.drawing), ...brush.at));
  }

  new ResizeObserver(fit).observe(pad);
  store.watch(["frame"], showPicture);
  store.watch(["drawing", "pending", "strokesShown", "brush", "sizes", "colour", "picking"], redraw);
  store.watch(["brush"], hand.drop);
  return {
    /** The picture on the pad as a PNG, in the size of the generator. */
    async save() {
      const { frame } = store.state;
      if (!frame) return say("There is no picture yet.");
      const { width, height } = frame.header;
      const canvas = new OffscreenCanvas(width, height);
      canvas.getContext("2d").drawImage(frame.bitmap, 0, 0);
      return canvas.convertToBlob({ type: "image/png" });
    },
  };
}
