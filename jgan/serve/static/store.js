// The state of the page, in one object. Its parts set fields and watch fields, and do not know each other.

export function createStore(start) {
  const state = { ...start };
  const watchers = [];
  return {
    state,
    /** Sets fields; each watcher of fields that changed is then called once. */
    set(patch) {
      const changed = Object.keys(patch).filter((key) => state[key] !== patch[key]);
      Object.assign(state, patch);
      for (const { keys, call } of watchers) if (keys.some((key) => changed.includes(key))) call(state);
    },
    /** Calls a function now, and after each change of one of the fields. */
    watch(keys, call) {
      watchers.push({ keys, call });
      call(state);
    },
  };
}

export const START = {
  status: null, // of the server
  id: "", // of the session
  session: null, // its JSON, without photos' data
  drawing: null, // its strokes, as the server folds them
  canUndo: false,
  canRedo: false,
  frame: null, // {header, bitmap}, the newest
  fresh: false, // whether there was a frame since the page was connected to the session
  link: "closed", // open, lost, taken, closed
  retryAt: 0,
  tab: "edit",
  brush: "colour",
  colour: [224, 49, 49],
  sizes: { colour: 20, sketch: 6, warp: 120, eraser: 24, mask: 48 }, // of 384, the side of the pad
  wipe: false, // whether the sketch brush asks that there be no edges
  unmask: false, // whether the mask brush takes from the mask
  picking: false, // whether the next click takes a colour
  strokesShown: true,
  pending: [], // strokes that the server has not answered yet
  chosen: null, // a candidate; null: the best
  slider: null, // 0 to 1; null: the end, which may still change
  average: false,
  shadow: false,
  playing: false,
  busy: null, // {text, done} of a projection that covers the pad
};
