// The page: it waits for the server and then connects its parts.

import { download } from "./api.js";
import { createBetween } from "./between.js";
import { createCandidates } from "./candidates.js";
import { createCloseness } from "./closeness.js";
import { createKeys } from "./keys.js";
import { createPad } from "./pad.js";
import { createPanel } from "./panel.js";
import { createPath } from "./path.js";
import { createPhoto } from "./photo.js";
import { createSecond } from "./second.js";
import { choose, isSession, receive } from "./pictures.js";
import { complain, say } from "./say.js";
import { createSession } from "./session.js";
import { createStore, START } from "./store.js";
import { createTools } from "./tools.js";
import { createTranslate } from "./translate.js";
import { untilReady } from "./waiting.js";

const $ = (id) => document.getElementById(id);
const store = createStore(START);

wireTheme();
wireDialogs();
const status = await untilReady(store);
const edits = Boolean(status.space), translates = status.translations.length > 0;
const translate = translates ? createTranslate(status) : null;
const editor = edits ? createEditor() : null;
wireTabs();
receive(take);
// The editor is shown once there is a session; before that, clicks would have no effect.
store.watch(["drawing"], ({ drawing }) => {
  if (drawing || !edits) document.body.dataset.screen = "ready";
});

/** The editor, the tab for runs with a latent. */
function createEditor() {
  const session = createSession(store, paint);
  const pad = createPad(store, session);
  createTools(store, session);
  createCandidates(store, session);
  createCloseness(store, session);
  const path = createPath(store, session), photo = createPhoto(store, session), between = createBetween(store);
  createSecond(store, session);
  $("save").onclick = session.save;
  $("open-session").onclick = async () => {
    const file = await choose(".json,application/json");
    if (file) session.open(file);
  };
  wirePanel(session);
  wireSliders(session);
  wireExport(pad);
  wireBanner(session);
  wireHint();
  const brush = (name) => () => store.state.status.brushes?.includes(name) !== false || name === "eraser" ? store.set({ brush: name }) : 0;
  const resize = (by) => () => {
    const size = $("size");
    size.value = +size.value + by * (store.state.brush === "warp" ? 12 : 2);
    size.oninput();
  };
  createKeys(
    store,
    {
      1: brush("colour"), 2: brush("sketch"), 3: brush("warp"), 4: brush("eraser"), 5: brush("mask"),
      "[": resize(-1), "]": resize(1), undo: session.undo, redo: session.redo,
      p: path.toggle, f: session.fix, r: session.restart, s: session.save,
      e: () => $("strokes").click(), a: () => $("average").click(), o: () => $("open-photo").click(),
    },
    translate?.keys ?? {},
  );
  session.begin();
  return { photo, session, between };
}

/** Shows a frame; the promise ends when it was painted, so that the server sends no more frames than can be seen. */
function paint(header, bitmap) {
  return new Promise((resolve) =>
    requestAnimationFrame(() => {
      store.state.frame?.bitmap.close();
      store.set({ frame: { header, bitmap }, fresh: true });
      resolve();
    }),
  );
}

/** Takes a file that was dropped or pasted. */
function take(file, target) {
  if (store.state.tab === "translate") return translate.open(file);
  if (isSession(file)) return editor.session.open(file);
  if (editor.between.take(file, target) || document.querySelector("dialog[open]")) return;
  editor.photo.open(file);
}

/** Connects the two tabs. */
function wireTabs() {
  const tabs = { edit: edits, translate: translates };
  const show = (name) => {
    store.set({ tab: name });
    for (const tab of Object.keys(tabs)) {
      $(`tab-${tab}`).setAttribute("aria-selected", tab === name);
      $(`tab-${tab}`).tabIndex = tab === name ? 0 : -1;
      $(tab).hidden = tab !== name;
    }
    document.body.dataset.tab = name;
    $("about-run").textContent = name === "edit" ? `${status.system}, ${status.image.size} px` : "";
  };
  document.querySelector(".tabs").hidden = !(edits && translates);
  for (const tab of Object.keys(tabs)) $(`tab-${tab}`).onclick = () => show(tab);
  document.querySelector(".tabs").onkeydown = (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    show(store.state.tab === "edit" ? "translate" : "edit");
    $(`tab-${store.state.tab}`).focus();
  };
  show(edits ? "edit" : "translate");
  if (!edits) createKeys(store, {}, translate.keys);
}

/** Connects the controls of the generator; after a change candidates begin anew, and it can be undone. */
function wirePanel(session) {
  const way = status.ways.find(({ of }) => of === "painting");
  if (!way) return;
  // What a slider moves on the pad (truncation) is not asked for a second time, for what is drawn.
  const controls = Object.fromEntries(Object.entries(way.controls).filter(([name]) => !(name in (status.sliders ?? {}))));
  const shown = { ...way, controls };
  const panel = createPanel(shown, { change: (values, name) => session.give(name, values[name]), painted: true });
  $("panel").append(panel.element);
  $("panel").hidden = !panel.element.children.length;
  store.watch(["drawing"], ({ drawing }) => drawing && panel.show(drawing.given ?? {}));
}

/** Connects the sliders, which move the latent on the pad; those that mix need a second photo. */
function wireSliders(session) {
  if (!Object.keys(status.sliders ?? {}).length) return;
  const allowed = (name) => !name.startsWith("mix_") || Boolean(store.state.drawing?.second);
  const change = (values) => session.steer(Object.fromEntries(Object.entries(values).filter(([name]) => allowed(name))));
  const panel = createPanel({ controls: status.sliders, spaces: {} }, { change, painted: true });
  $("sliders").append(panel.element);
  store.watch(["drawing"], ({ drawing }) => {
    panel.allow(allowed);
    if (drawing) panel.show(drawing.steered ?? {});
    $("sliders").hidden = ![...panel.element.children].some((widget) => !widget.hidden);
  });
}

/** Connects the menu of files to save. */
function wireExport(pad) {
  const menu = $("export-menu"), button = $("export");
  const show = (on) => {
    menu.hidden = !on;
    button.setAttribute("aria-expanded", on);
    if (on) menu.querySelector("button").focus();
  };
  button.onclick = () => show(menu.hidden);
  const path = (name) => `api/sessions/${store.state.id}/${name}`;
  const best = () => store.state.chosen ?? store.state.frame?.header.chosen ?? "";
  const acts = {
    "export-picture": async () => download(await pad.save(), "picture.png"),
    "export-candidates": () => download(path("candidates.zip"), "candidates.zip"),
    "export-path": () => download(path(`path.webp?frames=24${best() === "" ? "" : `&candidate=${best()}`}`), "path.webp"),
  };
  for (const [id, act] of Object.entries(acts)) {
    $(id).onclick = () => {
      show(false);
      button.focus();
      say("Preparing the file …");
      act().then(() => say("Downloaded."), complain);
    };
  }
  menu.onkeydown = (event) => {
    const all = [...menu.children], at = all.indexOf(document.activeElement);
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by) all[(at + by + all.length) % all.length].focus(), event.preventDefault();
    if (event.key === "Escape") show(false), button.focus();
  };
  addEventListener("pointerdown", (event) => event.target.closest(".menu") || show(false));
}

/** Connects the banner about the connection. */
function wireBanner(session) {
  const texts = {
    lost: "The connection was lost. Your strokes are kept; trying again …",
    taken: "This session was opened in another window.",
  };
  let timer = 0;
  $("retry").onclick = session.retry;
  store.watch(["link", "retryAt"], ({ link }) => {
    clearTimeout(timer);
    $("banner-text").textContent = texts[link] ?? "";
    $("retry").textContent = link === "taken" ? "Use it here" : "Try now";
    // A short loss is not shown.
    if (texts[link]) timer = setTimeout(() => ($("banner").hidden = false), 700);
    else $("banner").hidden = true;
  });
}

/** Shows the hint as long as nothing was drawn. */
function wireHint() {
  store.watch(["drawing", "pending", "busy"], ({ drawing, pending, busy }) => {
    $("hint").hidden = Boolean(busy || pending.length || !drawing || drawing.strokes.length || drawing.photo || drawing.anchored);
  });
  $("pad").addEventListener("pointerdown", () => ($("hint").hidden = true));
}

/** Connects the button for the light and the dark theme. */
function wireTheme() {
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)");
  const now = () => root.dataset.theme ?? (dark.matches ? "dark" : "light");
  const show = () => $("theme").setAttribute("aria-pressed", now() === "dark");
  dark.onchange = show;
  show();
  $("theme").onclick = () => {
    root.dataset.theme = now() === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("jgan-theme", root.dataset.theme);
    } catch { /* the choice is then for this page only */ }
    show();
  };
}

/** Makes dialogs close by their buttons and by a click beside them. */
function wireDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
    });
  }
}
