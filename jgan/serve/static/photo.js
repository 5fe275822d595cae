// The photo: it is opened and projected, the edit is transferred to it, and both are compared.

import { ask, download, follow, result } from "./api.js";
import { choose, preview } from "./pictures.js";
import { complain, progress, say, whisper } from "./say.js";

const $ = (id) => document.getElementById(id);

export function createPhoto(store, session) {
  const stem = () => (store.state.drawing?.photo?.name ?? "photo").replace(/\.[^.]*$/, "");
  let shown = "", applied = "";

  /** Uploads a photo, which the server projects and opens in the session. */
  async function open(file) {
    const { status, id } = store.state;
    if (status?.limits && file.size > status.limits.upload_bytes) {
      const most = Math.floor(status.limits.upload_bytes / 2 ** 20);
      return say(`${file.name} is too large: ${most} MiB are the most.`, "error");
    }
    if (store.state.busy) return;
    store.set({ busy: { text: "Sending the photo", done: -1 } });
    try {
      const { job } = await ask("POST", `api/sessions/${id}/photo`, { file });
      await follow(job, ({ state, done }) => {
        const waits = state === "waiting";
        store.set({ busy: { text: waits ? "Waiting for the device" : "Looking for your photo among what the network knows", done: done || -1 } });
      });
      whisper("The photo is open. Paint on it.");
    } catch (error) {
      complain(error);
    } finally {
      store.set({ busy: null });
    }
  }

  /** Opens the photo that a person chooses. */
  async function ask_for() {
    const file = await choose();
    if (file) open(file);
  }

  /** Transfers the edit to the photo. */
  async function apply() {
    const { id, chosen, busy } = store.state;
    if (busy) return;
    store.set({ busy: { text: "Doing the same to your photo", done: -1 } });
    try {
      const { job } = await ask("POST", `api/sessions/${id}/apply`, { json: { candidate: chosen } });
      const end = await follow(job, ({ done }) => {
        store.set({ busy: { text: "Doing the same to your photo", done: done || -1 } });
      });
      applied = { photo: result(end, job, ".png"), film: result(end, job, ".webp") };
      await compare(applied.photo);
    } catch (error) {
      complain(error);
    } finally {
      store.set({ busy: null });
    }
  }

  /** Shows the photo and its edit in the dialog. */
  async function compare(after) {
    const { id, drawing } = store.state;
    $("before").src = `api/sessions/${id}/photo?of=${drawing.photo.id}`;
    $("after").src = after;
    await Promise.all([$("before").decode(), $("after").decode()]);
    const { naturalWidth: w, naturalHeight: h } = $("after");
    $("compare-stage").style.setProperty("--w", w);
    $("compare-stage").style.setProperty("--h", h);
    $("compare-size").textContent = `${w} × ${h} pixels`;
    $("compare").showModal();
    $("compare-at").focus();
  }

  const slide = () => $("compare-stage").style.setProperty("--at", `${$("compare-at").value}%`);
  $("compare-at").oninput = slide;
  slide();
  $("download-photo").onclick = () => download(applied.photo, `${stem()}-edited.png`).catch(complain);
  $("download-film").onclick = () => download(applied.film, `${stem()}-edited.webp`).catch(complain);
  $("open-photo").onclick = $("change-photo").onclick = ask_for;
  $("apply").onclick = apply;
  $("close-photo").onclick = session.closePhoto;

  store.watch(["drawing"], async ({ drawing, id }) => {
    const photo = drawing?.photo;
    document.querySelector(".photo-none").hidden = Boolean(photo);
    document.querySelector(".photo-open").hidden = !photo;
    if (!photo || photo.id === shown) return;
    shown = photo.id;
    $("photo-name").textContent = $("photo-name").title = photo.name;
    $("photo-size").textContent = `${drawing.size[1]} × ${drawing.size[0]} pixels`;
    try {
      await preview(await ask("GET", `api/sessions/${id}/photo?of=${photo.id}`, { raw: true }), $("thumb"));
    } catch { /* without a small view the name is enough */ }
  });
  store.watch(["busy", "drawing", "fresh"], ({ busy, drawing, fresh }) => {
    $("pad-progress").hidden = !busy;
    $("apply").disabled = Boolean(busy) || !fresh || !drawing?.strokes.length && !drawing?.anchored;
    if (!busy) return;
    if ($("pad-progress-text").textContent !== busy.text) {
      $("pad-progress-text").textContent = busy.text;
      whisper(busy.text);
    }
    progress($("pad-progress").querySelector(".bar"), busy.done);
  });
  return { open };
}
