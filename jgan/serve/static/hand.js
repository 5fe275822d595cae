// The hand on the pad, moved by a pointer or by keys: it draws strokes, takes squares for warps, and erases strokes.

import { boxOf, extent, far, pointAt, round, thin, touches } from "./strokes.js";

const EVERY = 40; // milliseconds between live strokes
export const RANGES = { colour: [2, 64], sketch: [2, 20], warp: [24, 256], eraser: [8, 96], mask: [8, 192] };

/**
 * The hand over the pad. `stroke` is the one that is being drawn, `source` the centre of the square that a warp moves,
 * `marked` are the ids of the strokes that the eraser has touched.
 */
export function createHand(store, session, { redraw, grab, pick }) {
  const hand = { stroke: null, source: null, side: 0, patch: null, marked: new Set() };
  let offset = [0, 0], began = null, sent = 0, timer = 0;

  const box = () => boxOf(store.state.drawing);

  /** Sends the live stroke, not more often than once in `EVERY` milliseconds. */
  function send() {
    clearTimeout(timer);
    const wait = EVERY - (Date.now() - sent);
    if (wait > 0) return (timer = setTimeout(send, wait));
    sent = Date.now();
    if (hand.stroke) session.live(hand.stroke);
  }

  /** Ends the stroke, which becomes an operation of the session. */
  function end(stroke) {
    clearTimeout(timer);
    hand.stroke = null;
    if (stroke) session.stroke(stroke);
    redraw();
  }

  hand.down = (u, v, alt) => {
    const { brush, picking, sizes, colour, wipe, unmask, slider } = store.state;
    const point = pointAt(box(), u, v);
    if (picking || alt) return pick(u, v);
    if (slider !== null) session.look({ slider: null }); // a person draws on the result
    began = point;
    if (brush === "colour") {
      hand.stroke = { brush, points: [point], width: extent(box(), sizes.colour), colour };
    } else if (brush === "sketch") {
      hand.stroke = { brush, points: [point], width: extent(box(), sizes.sketch), erase: wipe };
    } else if (brush === "mask") {
      hand.stroke = { brush, points: [point], width: extent(box(), sizes.mask), erase: unmask };
    } else if (brush === "warp") {
      const { source, side } = hand;
      const inside = source && point.every((x, i) => Math.abs(x - source[i]) <= side / 2);
      if (!inside) hand.take(u, v);
      offset = point.map((x, i) => hand.source[i] - x);
      began = point;
    } else {
      erase(point);
    }
    send();
    redraw();
  };

  hand.move = (u, v) => {
    const { brush } = store.state;
    const point = pointAt(box(), u, v), pixel = box().side / 384;
    if (hand.stroke && brush !== "warp") {
      if (!far(point, hand.stroke.points.at(-1), 0.75 * pixel)) return;
      hand.stroke = { ...hand.stroke, points: [...hand.stroke.points, point] };
      send();
    } else if (brush === "warp" && began && hand.source) {
      if (!hand.stroke && !far(point, began, 4 * pixel)) return;
      const { width, height } = box();
      const target = [point[0] + offset[0], point[1] + offset[1]];
      const kept = [Math.min(width, Math.max(0, target[0])), Math.min(height, Math.max(0, target[1]))].map(round);
      hand.stroke = { brush, source: hand.source, target: kept, side: hand.side };
      send();
    } else if (brush === "eraser" && began) {
      erase(point);
    }
    redraw();
  };

  hand.up = () => {
    began = null;
    if (hand.marked.size) session.erase([...hand.marked]);
    hand.marked = new Set();
    const { stroke } = hand;
    if (!stroke) return redraw();
    if (stroke.brush === "warp") {
      hand.source = hand.patch = null;
      end(stroke);
    } else end({ ...stroke, points: thin(stroke.points, box().side / 384) });
  };

  hand.cancel = () => {
    began = null;
    hand.marked = new Set();
    clearTimeout(timer);
    if (hand.stroke) session.live(null);
    hand.stroke = hand.source = hand.patch = null;
    redraw();
  };

  /** Takes the square around a point, which a warp will move. */
  hand.take = (u, v) => {
    hand.source = pointAt(box(), u, v);
    hand.side = extent(box(), store.state.sizes.warp);
    hand.patch = grab(hand.source, hand.side);
    redraw();
  };

  /** Gives up the square that was taken. */
  hand.drop = () => {
    hand.source = hand.patch = null;
    redraw();
  };

  /** Changes the size of the brush by a number of steps. */
  hand.resize = (by) => {
    const { brush, sizes } = store.state;
    const [least, most] = RANGES[brush];
    const step = { colour: 1, sketch: 1, warp: 12, eraser: 2, mask: 4 }[brush];
    store.set({ sizes: { ...sizes, [brush]: Math.min(most, Math.max(least, sizes[brush] + by * step)) } });
  };

  /** Marks the strokes at a point, which are erased when the pointer is lifted. */
  function erase(point) {
    const radius = extent(box(), store.state.sizes.eraser) / 2;
    for (const stroke of store.state.drawing?.strokes ?? []) {
      if (touches(stroke, point, radius)) hand.marked.add(stroke.id);
    }
  }

  return hand;
}
