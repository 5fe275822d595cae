// The keyboard: the keys for brushes, sizes, undo and all other actions, and the list of them.

const $ = (id) => document.getElementById(id);
const LIST = [
  ["1 2 3 4 5", "paint, sketch, warp, eraser, mask"],
  ["[ ]", "a smaller or larger brush; also the wheel over the pad"],
  ["Alt", "held: take a colour from the picture"],
  ["Ctrl Z", "undo"],
  ["Ctrl Shift Z", "redo"],
  ["F", "fix: go on from this picture"],
  ["R", "restart with other pictures"],
  ["P", "play the way from the start"],
  ["E", "strokes on and off"],
  ["A", "average of the candidates on and off"],
  ["S", "save the session"],
  ["O", "open a photo"],
  ["← ↑ → ↓ Space", "with the pad in focus: move the brush, put it down and lift it"],
  ["?", "this list"],
];

/** Connects the keyboard; `acts` are the actions of the editor by key, `translate` those of the other tab. */
export function createKeys(store, acts, translate) {
  for (const [keys, text] of LIST) {
    const term = document.createElement("dt");
    term.append(...keys.split(" ").flatMap((key) => [Object.assign(document.createElement("kbd"), { textContent: key }), " "]));
    $("keys").append(term, Object.assign(document.createElement("dd"), { textContent: text }));
  }
  $("help").onclick = () => $("help-dialog").showModal();

  addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]") || document.body.dataset.screen !== "ready") return;
    const field = event.target.closest?.("input:not([type=range]):not([type=checkbox]):not([type=color]), select, textarea");
    if (field || event.isComposing) return;
    const table = store.state.tab === "edit" ? acts : translate;
    const key = event.key.toLowerCase();
    let name = key;
    if (event.ctrlKey || event.metaKey) {
      name = { z: event.shiftKey ? "redo" : "undo", y: "redo" }[key];
      if (!name) return;
    } else if (event.altKey) return;
    if (key === "?") return $("help-dialog").showModal();
    if (!table[name] || (event.repeat && !["[", "]", "undo", "redo"].includes(name))) return;
    event.preventDefault();
    table[name]();
  });
}
