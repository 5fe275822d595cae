// The grid of candidates. The place of a candidate depends on its number, so that it stays when its rank changes.

import { words } from "./closeness.js";
import { say, whisper } from "./say.js";

const CALM = 450; // milliseconds between changes of the tiles, so that a person can follow them

export function createCandidates(store, session) {
  const grid = document.getElementById("candidates"), tiles = new Map();
  const slots = document.createElement("div"); // the empty places, behind the tiles
  let order = [], changed = 0, ground = null, timer = 0, problem = "";
  slots.className = "slots";
  slots.setAttribute("aria-hidden", "true");
  slots.title = "Candidates that look alike are shown once, and those that miss the strokes not at all";
  grid.append(slots);

  /** A new tile for a candidate. */
  function tile(id) {
    const button = document.createElement("button");
    button.className = "tile";
    button.setAttribute("role", "radio");
    button.dataset.id = id;
    button.append(document.createElement("canvas"));
    button.onclick = () => choose(id);
    grid.append(button);
    tiles.set(id, button);
    return button;
  }

  /** Chooses a candidate, or none if it is chosen already. */
  function choose(id) {
    session.look({ chosen: store.state.chosen === id ? null : id });
  }

  /** Shows the newest frame. */
  function show() {
    const { frame, status } = store.state;
    const columns = Math.ceil(Math.sqrt(status?.candidates ?? 16));
    grid.style.setProperty("--columns", columns);
    grid.style.setProperty("--rows", Math.ceil((status?.candidates ?? 16) / columns));
    while (slots.children.length < (status?.candidates ?? 16)) slots.append(document.createElement("i"));
    if (!frame) return;
    const { ids, ground: now, moving } = frame.header;
    if (now !== ground) {
      for (const button of tiles.values()) button.remove();
      tiles.clear();
      [order, changed, ground] = [[], 0, now];
    }
    clearTimeout(timer);
    const wait = moving ? CALM - (performance.now() - changed) : 0;
    if (wait <= 0 || !order.length) arrange(ids, columns);
    else timer = setTimeout(() => arrange(store.state.frame.header.ids, columns), wait);
    paint(frame);
    mark();
    if (frame.header.problem && frame.header.problem !== problem) say(frame.header.problem, "error");
    problem = frame.header.problem;
  }

  /** Shows the tiles of these candidates, best first, and hides all others. */
  function arrange(ids, columns) {
    if (String([...ids].sort()) !== String([...order].sort())) changed = performance.now();
    order = ids;
    for (const [id, button] of tiles) {
      if (ids.includes(id)) continue;
      button.dataset.gone = ""; // it fades at its place
      delete button.dataset.rank;
    }
    ids.forEach((id, rank) => {
      const button = tiles.get(id) ?? tile(id);
      delete button.dataset.gone;
      button.style.setProperty("--column", id % columns);
      button.style.setProperty("--row", Math.floor(id / columns));
      button.dataset.rank = rank;
    });
    mark();
  }

  /** Draws the images of a frame on the tiles. */
  function paint({ header, bitmap }) {
    const { width, height, ids } = header;
    ids.forEach((id, i) => {
      const canvas = (tiles.get(id) ?? tile(id)).firstChild;
      const side = Math.round((canvas.clientWidth || 96) * devicePixelRatio);
      if (canvas.width !== side) canvas.width = canvas.height = side;
      const ctx = canvas.getContext("2d");
      ctx.imageSmoothingQuality = "high";
      ctx.drawImage(bitmap, (i + 1) * width, 0, width, height, 0, 0, side, side);
    });
  }

  /** Marks the chosen tile, and labels all; only the chosen one, or the best, can be reached by Tab. */
  function mark() {
    const { chosen, frame, average } = store.state;
    const shown = frame && (chosen ?? frame.header.chosen ?? order[0]);
    for (const [id, button] of tiles) {
      button.setAttribute("aria-checked", id === chosen);
      button.toggleAttribute("data-shown", id === shown && !average);
      button.tabIndex = id === shown ? 0 : -1;
      const measures = words(frame?.header.costs?.[frame.header.ids.indexOf(id)], store.state).map((w) => `${w.name}: ${w.word}`);
      button.setAttribute("aria-label", [`Candidate ${id + 1}`, ...measures].join(", "));
      button.title = [`Candidate ${id + 1}`, ...measures].join("\n");
    }
  }

  grid.addEventListener("keydown", (event) => {
    const columns = +getComputedStyle(grid).getPropertyValue("--columns");
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (!by) return;
    event.preventDefault();
    // The next tile in that direction.
    const from = +(document.activeElement.dataset?.id ?? order[0]);
    let next = from + by;
    while (next >= 0 && next < slots.children.length && !order.includes(next)) next += by;
    if (!order.includes(next)) return;
    session.look({ chosen: next });
    tiles.get(next)?.focus();
  });

  store.watch(["frame", "status"], show);
  store.watch(["chosen", "average"], mark);
  store.watch(["frame", "drawing", "pending", "fresh"], ({ frame, drawing, pending, fresh }) => {
    const asked = drawing?.strokes.length || pending.length;
    const behind = !fresh || pending.length || frame?.header.version !== drawing?.version;
    const text = !frame || !asked ? "" : behind || frame.header.moving ? "looking …" : "settled";
    const settled = document.getElementById("settled");
    if (settled.textContent === text) return;
    settled.textContent = text;
    settled.dataset.moving = text === "looking …";
    if (text === "settled") whisper(`${frame.header.ids.length} candidates have settled.`);
  });
}
