// The one object that knows what the page shows. Parts set fields and watch fields; none of them knows another.

export function createStore(start) {
  const state = { ...start };
  const watchers = [];
  return {
    state,
    /** Takes new values; watchers of fields that changed are called once, after all of them are in place. */
    set(patch) {
      const changed = Object.keys(patch).filter((key) => state[key] !== patch[key]);
      Object.assign(state, patch);
      for (const { keys, call } of watchers) if (keys.some((key) => changed.includes(key))) call(state);
    },
    /** Calls back whenever one of the fields changes, and once now. */
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
  fresh: false, // whether a frame came since the session was attached
  link: "closed", // open, lost, taken, closed
  retryAt: 0,
  tab: "edit",
  brush: "colour",
  colour: [224, 49, 49],
  sizes: { colour: 20, sketch: 6, warp: 120, eraser: 24 }, // of 384, the pad's side
  wipe: false, // the sketch brush asks for no edges
  picking: false, // the next click takes a colour
  strokesShown: true,
  pending: [], // strokes that the server has not answered yet
  chosen: null, // a candidate; null: the best
  slider: null, // 0 to 1; null: the live end
  average: false,
  shadow: false,
  playing: false,
  busy: null, // {text, done} of a projection that covers the pad
};
