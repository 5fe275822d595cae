// The second photo: it is opened beside the first one, and its part under the mask is put into that.

import { ask, follow } from "./api.js";
import { choose, preview } from "./pictures.js";
import { complain, say, whisper } from "./say.js";

const $ = (id) => document.getElementById(id);

export function createSecond(store, session) {
  let shown = "";

  /** Asks for a job of the session, and shows how far it is on the pad. */
  async function work(path, options, text, end) {
    if (store.state.busy) return;
    store.set({ busy: { text, done: -1 } });
    try {
      const { job } = await ask("POST", `api/sessions/${store.state.id}/${path}`, options);
      await follow(job, ({ state, done }) => {
        store.set({ busy: { text: state === "waiting" ? "Waiting for the device" : text, done: done || -1 } });
      });
      whisper(end);
    } catch (error) {
      complain(error);
    } finally {
      store.set({ busy: null });
    }
  }

  /** Opens the photo that a person chooses as the second one. */
  async function open() {
    const file = await choose(), limit = store.state.status?.limits?.upload_bytes;
    if (!file) return;
    if (limit && file.size > limit) return say(`${file.name} is too large: ${Math.floor(limit / 2 ** 20)} MiB are the most.`, "error");
    await work("second", { file }, "Looking for your second photo", "The second photo is open. Mask where it should be.");
    if (store.state.drawing?.second) store.set({ brush: "mask" });
  }

  $("open-second").onclick = $("change-second").onclick = open;
  $("close-second").onclick = session.closeSecond;
  $("crossover").onclick = () => work("crossover", {}, "Joining both photos", "The second photo is put in.");

  store.watch(["drawing"], async ({ drawing, id }) => {
    const second = drawing?.second;
    $("second").hidden = !drawing?.photo && !second;
    document.querySelector(".second-none").hidden = Boolean(second);
    document.querySelector(".second-open").hidden = !second;
    if (!second || second.id === shown) return;
    shown = second.id;
    $("second-name").textContent = $("second-name").title = second.name;
    try {
      await preview(await ask("GET", `api/sessions/${id}/photo?second=true&of=${second.id}`, { raw: true }), $("second-thumb"));
    } catch { /* without a small view the name is enough */ }
  });
  store.watch(["busy", "drawing", "fresh"], ({ busy, drawing, fresh }) => {
    const masked = Boolean(drawing?.strokes.some(({ brush, erase }) => brush === "mask" && !erase));
    $("crossover").disabled = Boolean(busy) || !fresh || !drawing?.photo || !masked;
    $("second-hint").textContent = masked ? "" : "mask where it should be";
    $("open-second").disabled = $("change-second").disabled = Boolean(busy);
  });
}
