// The bar of brushes: their kind, size and colour, undo and redo, and the buttons for what is shown.

import { RANGES } from "./hand.js";
import { css } from "./strokes.js";
import { radios } from "./radios.js";

const $ = (id) => document.getElementById(id);
const SWATCHES = {
  red: "#e03131", orange: "#f08c00", yellow: "#ffd43b", green: "#2f9e44", teal: "#1098ad", blue: "#1c63c9",
  violet: "#7048e8", brown: "#7f5232", white: "#ffffff", grey: "#8f8f8f", black: "#111111",
};
const HINTS = {
  warp: "Press on a part and drag it where it should go",
  eraser: "Sweep over strokes to remove them",
  mask: "Paint where the second photo should be",
};

export const hex = (rgb) => "#" + rgb.map((x) => Math.round(x).toString(16).padStart(2, "0")).join("");
export const rgb = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));

/** The name of the swatch that is nearest to a colour. */
export function word(colour) {
  const far = (other) => rgb(other).reduce((sum, x, i) => sum + (x - colour[i]) ** 2, 0);
  return Object.keys(SWATCHES).reduce((a, b) => (far(SWATCHES[a]) <= far(SWATCHES[b]) ? a : b));
}

export function createTools(store, session) {
  const brushes = radios(document.querySelector(".rail .group"), "brush", (brush) => store.set({ brush }));
  const sizes = $("size");

  for (const [name, value] of Object.entries(SWATCHES)) {
    const button = document.createElement("button");
    button.className = "swatch";
    button.style.background = value;
    button.title = name;
    button.setAttribute("aria-label", name);
    button.onclick = () => store.set({ colour: rgb(value), brush: "colour" });
    $("swatches").append(button);
  }
  $("colour").oninput = () => store.set({ colour: rgb($("colour").value), brush: "colour" });
  $("pick").onclick = () => store.set({ picking: !store.state.picking });
  $("wipe").onchange = () => store.set({ wipe: $("wipe").checked });
  $("unmask").onchange = () => store.set({ unmask: $("unmask").checked });
  sizes.oninput = () => store.set({ sizes: { ...store.state.sizes, [store.state.brush]: +sizes.value } });
  $("undo").onclick = session.undo;
  $("redo").onclick = session.redo;
  $("clear").onclick = session.clear;
  $("strokes").onclick = () => store.set({ strokesShown: !store.state.strokesShown });
  $("fix").onclick = session.fix;
  $("restart").onclick = session.restart;
  $("average").onclick = () => session.look({ average: !store.state.average });
  $("shadow").onclick = () => session.look({ shadow: !store.state.shadow });

  store.watch(["brush", "sizes"], ({ brush, sizes: all }) => {
    brushes.show(brush);
    [sizes.min, sizes.max] = RANGES[brush];
    sizes.value = all[brush];
    $("size-value").textContent = all[brush];
    $("colours").hidden = brush !== "colour";
    $("wipe-label").hidden = brush !== "sketch";
    $("unmask-label").hidden = brush !== "mask";
    $("tool-hint").textContent = HINTS[brush] ?? "";
    $("tool-hint").hidden = !HINTS[brush];
  });
  store.watch(["colour"], ({ colour }) => {
    $("colour").value = hex(colour);
    $("hint-colour").textContent = word(colour);
    $("hint").style.setProperty("--brush", css(colour));
    for (const button of $("swatches").children) {
      button.toggleAttribute("data-on", SWATCHES[button.title] === hex(colour));
    }
  });
  store.watch(["canUndo", "canRedo", "drawing", "pending"], ({ canUndo, canRedo, drawing, pending }) => {
    $("undo").disabled = !canUndo && !pending.length;
    $("redo").disabled = !canRedo;
    $("clear").disabled = !drawing?.strokes.length;
  });
  store.watch(["fresh"], ({ fresh }) => {
    $("fix").disabled = !fresh;
  });
  store.watch(["strokesShown", "average", "shadow", "picking"], (state) => {
    $("strokes").setAttribute("aria-pressed", state.strokesShown);
    $("average").setAttribute("aria-pressed", state.average);
    $("shadow").setAttribute("aria-pressed", state.shadow);
    $("pick").setAttribute("aria-pressed", state.picking);
  });
  store.watch(["status"], ({ status }) => {
    for (const button of document.querySelectorAll("[data-brush]")) {
      const name = button.dataset.brush;
      button.hidden = Boolean(status?.brushes) && name !== "eraser" && !status.brushes.includes(name);
    }
  });
}
