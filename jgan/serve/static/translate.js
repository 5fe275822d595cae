// The second tab: a drawing in flat colours or lines, and its translation after every change.

import { ask, download } from "./api.js";
import { createPanel } from "./panel.js";
import { choose } from "./pictures.js";
import { radios } from "./radios.js";
import * as raster from "./raster.js";
import { complain, say } from "./say.js";
import { css } from "./strokes.js";

const $ = (id) => document.getElementById(id);
const EVERY = 250; // milliseconds between requests
const KEPT = 60; // drawings that are kept for undo

export function createTranslate(status) {
  const labels = Boolean(status.palette?.length);
  const palette = labels ? status.palette : [{ name: "line", colour: [0, 0, 0] }, { name: "paper", colour: [255, 255, 255] }];
  const ground = labels ? palette.find((p) => p.name === "background") ?? palette[0] : palette[1];
  const canvas = $("t-canvas"), ink = $("t-ink"), answer = $("t-answer"), pad = $("t-pad");
  const state = { tool: "brush", colour: palette.find((p) => p !== ground).colour, size: 1 };
  const brush = { at: null, from: null, last: null };
  let image, undo = [], redo = [], asked = 0, running = false, stale = false, timer = 0;

  // ---- the drawing

  function paint() {
    const { width, height, data } = image;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(data.buffer), width, height), 0, 0);
    $("t-undo").disabled = !undo.length;
    $("t-redo").disabled = !redo.length;
  }

  /** Keeps the drawing for undo. */
  function remember() {
    undo.push({ ...image, data: image.data.slice() });
    if (undo.length > KEPT) undo.shift();
    redo = [];
  }

  /** Undoes or repeats a step: takes a drawing of one list, and puts the present one into the other. */
  function back(from, to) {
    if (!from.length) return;
    to.push(image);
    image = from.pop();
    paint();
    later();
  }

  function empty(width = side(), height = side()) {
    image = raster.create(width, height, raster.word(ground.colour));
    paint();
  }

  const way = () => status.translations.find((t) => t.name === $("way").value) ?? status.translations[0];
  const side = () => way().size?.[0] ?? 256;
  const word = () => raster.word(state.tool === "eraser" ? ground.colour : state.colour);
  const at = (event) => {
    const frame = pad.getBoundingClientRect();
    return [((event.clientX - frame.left) / frame.width) * image.width, ((event.clientY - frame.top) / frame.height) * image.height];
  };

  function down(point) {
    remember();
    brush.from = brush.last = point;
    if (state.tool === "fill") raster.fill(image, point, word());
    else if (state.tool === "brush" || state.tool === "eraser") raster.line(image, point, point, state.size, word());
    paint();
    later();
  }

  function move(point) {
    if (!brush.from) return;
    if (state.tool === "brush" || state.tool === "eraser") raster.line(image, brush.last, point, state.size, word());
    else if (state.tool === "line" || state.tool === "rect") {
      // While the pointer is down, it is drawn again on the drawing before.
      image.data.set(undo.at(-1).data);
      if (state.tool === "line") raster.line(image, brush.from, point, state.size, word());
      else raster.rectangle(image, brush.from, point, word());
    } else return;
    brush.last = point;
    paint();
    later();
  }

  /** Draws the brush at the position of the pointer. */
  function cursor() {
    const scale = (ink.width = ink.height = Math.round(pad.clientWidth * devicePixelRatio)) / image.width;
    if (!brush.at || state.tool === "fill" || state.tool === "rect") return;
    const ctx = ink.getContext("2d");
    for (const [style, width] of [["rgb(0 0 0 / .7)", 3], ["#fff", 1.3]]) {
      ctx.beginPath();
      ctx.arc(brush.at[0] * scale, brush.at[1] * scale, Math.max(2, (state.size / 2) * scale), 0, 7);
      ctx.strokeStyle = style;
      ctx.lineWidth = width * devicePixelRatio;
      ctx.stroke();
    }
  }

  pad.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button !== 0) return;
    event.preventDefault();
    pad.focus({ preventScroll: true });
    pad.setPointerCapture(event.pointerId);
    down((brush.at = at(event)));
  });
  pad.addEventListener("pointermove", (event) => {
    if (!event.isPrimary) return;
    brush.at = at(event);
    move(brush.at);
    cursor();
  });
  for (const name of ["pointerup", "pointercancel"]) pad.addEventListener(name, () => (brush.from = null));
  pad.addEventListener("pointerleave", () => ((brush.at = null), cursor()));
  pad.addEventListener("wheel", (event) => (event.preventDefault(), resize(event.deltaY < 0 ? 1 : -1)), { passive: false });
  pad.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step && event.key !== " ") return;
    event.preventDefault();
    brush.at ??= [image.width / 2, image.height / 2];
    const by = image.width / (event.shiftKey ? 16 : 64);
    if (step) move((brush.at = [0, 1].map((i) => Math.min(image.width, Math.max(0, brush.at[i] + step[i] * by)))));
    else if (brush.from) brush.from = null;
    else down(brush.at);
    cursor();
  });

  // ---- the translation: one request at a time, at most four in a second, of the newest drawing

  /** Asks for a translation as soon as one is allowed. */
  function later() {
    stale = true;
    if (running || timer) return;
    timer = setTimeout(question, Math.max(0, EVERY - (Date.now() - asked)));
  }

  /** Asks for the translation of the drawing, and shows it. */
  async function question() {
    timer = 0;
    [asked, running, stale] = [Date.now(), true, false];
    $("t-state").textContent = "drawing …";
    try {
      const png = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
      const file = new File([png], "drawing.png", { type: "image/png" });
      // If the network takes edges, the server makes them from a photo.
      const query = new URLSearchParams({ way: way().name, ...(image.photo && !labels ? { photo: 1 } : {}) });
      const fields = { set: JSON.stringify(panel?.values() ?? {}) };
      const blob = await ask("POST", `api/translate?${query}`, { file, fields, raw: true });
      const picture = await createImageBitmap(blob);
      [answer.width, answer.height] = [picture.width, picture.height];
      answer.getContext("2d").drawImage(picture, 0, 0);
      answer.dataset.answers = 1 + Number(answer.dataset.answers ?? 0);
      $("t-download").disabled = false;
      $("t-state").textContent = "";
    } catch (error) {
      $("t-state").textContent = error.message;
    }
    running = false;
    if (stale) later();
  }

  // ---- the tools, the palette and the panel

  /** Takes a picture as the drawing. */
  async function open(file) {
    try {
      const picture = await createImageBitmap(file);
      const scale = Math.min(1, 1024 / Math.max(picture.width, picture.height));
      const length = Math.max(1, Math.round(Math.min(picture.width, picture.height) * scale));
      remember();
      // The middle square at its own size, because the pad is square.
      const small = new OffscreenCanvas(length, length), ctx = small.getContext("2d");
      const cut = Math.min(picture.width, picture.height);
      ctx.imageSmoothingQuality = "high";
      ctx.drawImage(picture, (picture.width - cut) / 2, (picture.height - cut) / 2, cut, cut, 0, 0, length, length);
      const { data } = ctx.getImageData(0, 0, length, length);
      for (let i = 3; i < data.length; i += 4) data[i] = 255;
      image = { width: length, height: length, data: new Uint32Array(data.buffer), photo: true };
      paint();
      later();
    } catch {
      say(`${file.name} cannot be shown by this browser.`, "error");
    }
  }

  function resize(by) {
    const most = ($("t-size").max = Math.max(4, Math.round(side() / 5)));
    state.size = Math.min(most, Math.max(1, state.size + by));
    $("t-size").value = state.size;
    $("t-size-value").textContent = state.size;
    cursor();
  }

  const tools = radios(document.querySelector(".translate-bar .group"), "tool", tool);
  function tool(name) {
    state.tool = name;
    tools.show(name);
    cursor();
  }
  const colours = radios($("palette"), "label", (name) => {
    state.colour = palette.find((p) => p.name === name).colour;
    colours.show(name);
    if (state.tool === "eraser") tool("brush");
  });
  for (const { name, colour } of palette) {
    const button = document.createElement("button");
    button.dataset.label = name;
    button.setAttribute("role", "radio");
    button.append(document.createElement("i"), name);
    button.firstChild.style.background = css(colour);
    $("palette").append(button);
  }
  for (const { name, input, output } of status.translations) {
    $("way").append(new Option(input && output && input !== output ? `${input} → ${output}` : name, name));
  }
  $("way-label").hidden = status.translations.length < 2;
  $("way").onchange = () => (board(), later());
  $("t-size").oninput = () => resize(+$("t-size").value - state.size);
  $("t-undo").onclick = () => back(undo, redo);
  $("t-redo").onclick = () => back(redo, undo);
  $("t-clear").onclick = () => (remember(), empty(), later());
  $("t-open").onclick = async () => {
    const file = await choose();
    if (file) open(file);
  };
  $("t-download").onclick = () => answer.toBlob((blob) => download(blob, "translation.png").catch(complain), "image/png");
  new ResizeObserver(cursor).observe(pad);

  // One panel for each way, which keeps its values.
  const panels = new Map();
  let panel = null;
  function board() {
    const { name } = way(), host = $("t-panel");
    if (!panels.has(name)) {
      const described = status.ways.find((w) => w.of === "translating" && w.name === name);
      panels.set(name, described ? createPanel(described, { change: later, encode: (file, control) => encode(name, file, control) }) : null);
    }
    panel = panels.get(name);
    host.replaceChildren(...(panel ? [panel.element] : []));
    host.hidden = !panel?.element.children.length;
  }
  const encode = async (name, file, control) =>
    (await ask("POST", `api/encode?${new URLSearchParams({ way: name, control })}`, { file })).code;

  empty();
  board();
  tool("brush");
  colours.show(palette.find((p) => p.colour === state.colour).name);
  resize(Math.round(side() / (labels ? 25 : 85)) - 1);
  return {
    open,
    keys: {
      1: () => tool("brush"), 2: () => tool("fill"), 3: () => tool("line"), 4: () => tool("rect"), 5: () => tool("eraser"),
      "[": () => resize(-1), "]": () => resize(1), undo: () => back(undo, redo), redo: () => back(redo, undo),
      s: () => $("t-download").click(), o: () => $("t-open").click(),
    },
  };
}
