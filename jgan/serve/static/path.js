// The way from the start to the result: a slider, and playing it.

const $ = (id) => document.getElementById(id);
const SECONDS = 1.8;

export function createPath(store, session) {
  const slider = $("slider");
  let told = 0;

  // The end of the slider is the live picture, which goes on changing.
  const at = (value) => (value >= 1 ? null : Math.round(value * 200) / 200);

  function stop() {
    if (store.state.playing) store.set({ playing: false });
  }

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
      // Fewer messages than frames: pictures in between would be thrown away.
      if (now - told > 45) {
        told = now;
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
