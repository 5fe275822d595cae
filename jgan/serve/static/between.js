// The dialog for a film from one photo to another.

import { ask, download, follow, result } from "./api.js";
import { choose, preview } from "./pictures.js";
import { complain, progress } from "./say.js";

const $ = (id) => document.getElementById(id);

export function createBetween(store) {
  const chosen = { a: null, b: null };
  let film = "";

  /** Takes a file as the first (`a`) or second (`b`) photo. */
  async function put(side, file) {
    if (!file) return;
    chosen[side] = file;
    const well = $(`well-${side}`), canvas = well.querySelector("canvas");
    canvas.hidden = !(await preview(file, canvas));
    well.querySelector("span").textContent = canvas.hidden ? file.name : "";
    well.setAttribute("aria-label", `${side === "a" ? "First" : "Second"} photo: ${file.name}`);
    $("between-film").hidden = $("between-save").hidden = true;
    $("between-go").disabled = !chosen.a || !chosen.b;
  }

  /** Asks for the film and shows it. */
  async function go() {
    const { id } = store.state;
    $("between-go").disabled = true;
    $("between-progress").hidden = false;
    progress($("between-progress"), -1);
    try {
      const { job } = await ask("POST", `api/sessions/${id}/between`, { files: chosen });
      const end = await follow(job, ({ state, done }) => {
        progress($("between-progress"), done || -1);
        $("between-text").textContent = state === "waiting" ? "Waiting for the device" : "Looking for both photos, then for the way";
      });
      film = result(end, job, ".webp");
      $("between-film").src = film;
      $("between-film").hidden = $("between-save").hidden = false;
      $("between-text").textContent = "";
    } catch (error) {
      $("between-text").textContent = error.message;
    } finally {
      $("between-go").disabled = false;
      $("between-progress").hidden = true;
    }
  }

  for (const side of ["a", "b"]) $(`well-${side}`).onclick = async () => put(side, await choose());
  $("between-go").onclick = go;
  $("between-save").onclick = () => download(film, "between.webp").catch(complain);
  $("between").onclick = async () => {
    const { drawing, id } = store.state;
    $("between-dialog").showModal();
    if (!drawing?.photo || chosen.a) return;
    // The film most likely begins at the open photo.
    const blob = await ask("GET", `api/sessions/${id}/photo`, { raw: true }).catch(() => null);
    if (blob) put("a", new File([blob], drawing.photo.name.replace(/\.[^.]*$/, "") + ".png", { type: "image/png" }));
  };
  return {
    /** Takes a file that was dropped or pasted; returns false if the dialog is not open. */
    take(file, target) {
      if (!$("between-dialog").open) return false;
      put(target.closest?.("#well-b") || chosen.a ? "b" : "a", file);
      return true;
    },
  };
}
