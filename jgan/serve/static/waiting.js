// The page before the editor is ready: it shows how the run is trained or loaded.

import { ask } from "./api.js";
import { progress } from "./say.js";

const $ = (id) => document.getElementById(id);
const TITLES = {
  training: "The network is learning to draw",
  loading: "Almost there",
  failed: "This did not work",
  away: "Waiting for the server",
};
const TEXTS = {
  training: "These are its newest pictures. The editor opens by itself as soon as it has learned enough.",
  starting: "The server is starting.",
  loading: "The network is being loaded and prepared for painting.",
  away: "The page looks again every second.",
};

/** A promise of the status of the server when it is ready; until then the page shows what the server does. */
export async function untilReady(store) {
  for (;;) {
    let status;
    try {
      status = await ask("GET", "api/status");
    } catch (error) {
      status = { state: error.status ? "failed" : "away", message: error.status ? error.message : "" };
    }
    if (status.state === "ready") {
      $("waiting").hidden = true;
      store.set({ status });
      return status;
    }
    show(status);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

function show({ state, message, step, steps, seconds_left: left, samples }) {
  document.body.dataset.screen = "waiting";
  $("waiting").hidden = false;
  $("waiting").dataset.state = state;
  $("waiting-title").textContent = TITLES[state] ?? "Starting";
  $("waiting-text").textContent = (state === "failed" ? message : TEXTS[state]) ?? "";
  const bar = $("waiting").querySelector(".bar");
  bar.hidden = state === "failed";
  progress(bar, state === "training" && steps ? step / steps : -1);
  const parts = [];
  if (state === "training" && steps) parts.push(`step ${step.toLocaleString("en")} of ${steps.toLocaleString("en")}`);
  if (state === "training" && left > 0) parts.push(left < 90 ? `${Math.ceil(left)} s left` : `${Math.ceil(left / 60)} min left`);
  if (state === "loading" && message) parts.push(message);
  $("waiting-left").textContent = parts.join(" · ");
  const newest = samples?.at(-1)?.replace(/^\//, "");
  if (newest && $("waiting-picture").getAttribute("src") !== newest) {
    $("waiting-picture").src = newest;
    $("waiting-picture").hidden = false;
  }
}
