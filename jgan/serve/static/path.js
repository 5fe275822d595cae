// The path of a candidate from its beginning to the result: a slider, and a button that plays it.

const $ = (id) => document.getElementById(id);
const SECONDS = 1.8; // of the whole path

export function createPath(store, session) {
  const slider = $("slider");
  let sent = 0;

  // The end of the slider is null: the present picture, which may still change.
  const at = (value) => (value >= 1 ? null : Math.round(value * 200) / 200);

  function stop() {
    if (store.state.playing) store.set({ playing: false });
  }

  /** Plays the path, or stops. */
  function toggle() {
    if (store.state.playing) {
      stop();
      return;
    }
    store.set({ playing: true });
    const begin = performance.now();
    const tick = (now) => {
      if (!store.state.playing) return;
      const done = Math.min(1, Math.max(0, (now - begin) / (1000 * SECONDS)));
      if (done === 1) {
        session.look({ slider: null });
        return stop();
      }
      // Fewer messages than frames of the browser, because the pictures of more would not be shown.
      if (now - sent > 45) {
        sent = now;
        session.look({ slider: at(Math.min(0.995, done)) });
      }
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  slider.oninput = () => {
    stop();
    session.look({ slider: at(+slider.value) });
  };
  $("play").onclick = toggle;

  store.watch(["slider"], ({ slider: value }) => {
    slider.value = value ?? 1;
    slider.setAttribute("aria-valuetext", value === null ? "result" : `${Math.round(100 * value)} percent of the way`);
    slider.style.setProperty("--at", `${100 * (value ?? 1)}%`);
  });
  store.watch(["playing"], ({ playing }) => {
    $("play").querySelector("use").setAttribute("href", playing ? "#i-pause" : "#i-play");
    $("play").setAttribute("aria-label", playing ? "Stop" : "Play the way from the start");
  });
  store.watch(["slider", "average", "shadow", "chosen"], (state) => {
    const words = [
      state.slider !== null && `on the way: ${Math.round(100 * state.slider)} %`,
      state.average && "average of the candidates",
      state.shadow && "shadow",
    ].filter(Boolean);
    $("pad-badge").hidden = !words.length;
    $("pad-badge").textContent = words.join(" · ");
  });
  return { toggle };
}
