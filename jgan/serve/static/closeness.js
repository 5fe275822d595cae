// The measures of the shown candidate, in words and bars, and the weights of the terms.

const $ = (id) => document.getElementById(id);

// For each cost of jgan/latent/constraints.py: words from the best to the worst, each for costs up to a bound.
const SCALES = {
  colour: { name: "Colour", bounds: [0.015, 0.06, 0.2, 0.5], words: ["matched", "close", "half way", "far", "not there"] },
  sketch: { name: "Outline", bounds: [0.5, 1.2, 2.2, 3.5], words: ["matched", "close", "half way", "far", "not there"] },
  smoothness: { name: "Start", bounds: [0.005, 0.02, 0.06, 0.15], words: ["the same", "very near", "near", "changed", "far away"] },
  preservation: { name: "The rest", bounds: [0.003, 0.012, 0.04, 0.12], words: ["untouched", "hardly touched", "touched", "changed", "redone"] },
  realism: { name: "Realism", bounds: [0.2, 0.55, 0.9, 2], words: ["convincing", "plausible", "doubtful", "odd", "not real"] },
};
const WEIGHTS = { colour: ["Colour", 4], sketch: ["Outline", 1], smoothness: ["Near the start", 8], preservation: ["Keep the rest", 1.2], realism: ["Realism", 1] };

/** The costs of a candidate in words: [{key, name, word, part}] of the terms that are asked for; part 1 is best. */
export function words(costs, { drawing, pending }) {
  if (!costs || !drawing) return [];
  const drawn = [...drawing.strokes, ...pending.map((own) => own.stroke)];
  const strokes = drawn.filter(({ brush }) => brush !== "mask"); // a mask asks for nothing
  const brushes = new Set(strokes.map((stroke) => stroke.brush));
  const asked = {
    colour: brushes.has("colour") || brushes.has("warp"),
    sketch: brushes.has("sketch") || brushes.has("warp"),
    smoothness: drawing.anchored && strokes.length > 0,
    preservation: drawing.anchored && strokes.length > 0,
    realism: drawing.weights.realism > 0 && strokes.length > 0,
  };
  return Object.entries(SCALES)
    .filter(([key]) => asked[key] && Number.isFinite(costs[key]))
    .map(([key, { name, bounds, words: scale }]) => {
      const index = bounds.findIndex((bound) => costs[key] <= bound);
      return { key, name, word: scale.at(index), part: part(costs[key], bounds) };
    });
}

/** The length of a bar, linear in the logarithm of the cost: 1 at half of the first bound, 0 at twice the last one. */
function part(cost, bounds) {
  const [best, worst] = [Math.log(bounds[0] / 2), Math.log(2 * bounds.at(-1))];
  return Math.min(1, Math.max(0.02, (worst - Math.log(Math.max(cost, 1e-9))) / (worst - best)));
}

export function createCloseness(store, session) {
  const list = $("closeness"), empty = list.innerHTML;

  /** Shows the measures of the chosen candidate. */
  function show(state) {
    const { frame, chosen } = state;
    const at = frame ? Math.max(0, frame.header.ids.indexOf(chosen ?? frame.header.chosen)) : 0;
    const measures = words(frame?.header.costs?.[at], state);
    if (!measures.length) {
      if (list.dataset.rows) list.innerHTML = empty;
      delete list.dataset.rows;
      return;
    }
    const keys = measures.map((row) => row.key).join();
    if (list.dataset.rows !== keys) {
      list.replaceChildren(...measures.map(row));
      list.dataset.rows = keys;
    }
    measures.forEach(({ word, part: done, name }, i) => {
      const [, bar, output] = list.children[i].children;
      bar.firstElementChild.style.width = `${Math.round(100 * done)}%`;
      bar.dataset.good = done > 0.66 ? "yes" : done > 0.33 ? "partly" : "no";
      bar.setAttribute("aria-label", name);
      bar.setAttribute("aria-valuenow", Math.round(100 * done));
      bar.setAttribute("aria-valuetext", word);
      if (output.textContent !== word) output.textContent = word;
    });
  }

  /** The element of a measure. */
  function row({ key, name }) {
    const line = document.createElement("div");
    line.className = "measure";
    line.dataset.term = key;
    line.innerHTML = `<span>${name}</span><div class="bar" role="meter" aria-valuemin="0" aria-valuemax="100"><i></i></div><b></b>`;
    return line;
  }

  for (const [key, [name, most]] of Object.entries(WEIGHTS)) {
    const label = document.createElement("label");
    label.className = "weight";
    label.dataset.term = key;
    label.innerHTML = `<span>${name}</span><input type="range" min="0" max="${most}" step="${most / 40}"><output></output>`;
    const [, input, output] = label.children;
    input.oninput = () => (output.textContent = shareOf(+input.value, most));
    input.onchange = () => session.weights({ ...store.state.drawing.weights, [key]: +input.value });
    $("weights").append(label);
  }
  const shareOf = (value, most) => (value === 0 ? "off" : `${Math.round((100 * value) / most)} %`);

  store.watch(["frame", "chosen", "drawing", "pending"], show);
  store.watch(["drawing", "status"], ({ drawing, status }) => {
    for (const label of $("weights").children) {
      const [, input, output] = label.children, key = label.dataset.term;
      label.hidden = key === "realism" && !status?.realism;
      if (!drawing || document.activeElement === input) continue;
      input.value = drawing.weights[key];
      output.textContent = shareOf(drawing.weights[key], WEIGHTS[key][1]);
    }
  });
}
