"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  document.documentElement.classList.add("js");

  // The graph: the chosen node's article alone is shown beside the drawing.
  const articles = all(".about-node");
  const boxes = all("#drawing .node");
  const choose = (place, focus) => {
    boxes.forEach((box) => {
      const chosen = box.dataset.node === place;
      box.classList.toggle("chosen", chosen);
      if (chosen) box.setAttribute("aria-current", "true");
      else box.removeAttribute("aria-current");
    });
    articles.forEach((article) => { article.hidden = article.id !== "node-" + place; });
    const shown = document.getElementById("node-" + place);
    if (focus && shown) {
      shown.querySelector("h3").focus({ preventScroll: true });
      shown.scrollIntoView({ block: "nearest" });
    }
  };
  boxes.forEach((box) => box.addEventListener("click", (event) => {
    event.preventDefault();
    choose(box.dataset.node, true);
  }));
  if (boxes.length) {
    const named = /^#node-(\d+)$/.exec(location.hash);
    const weighty = boxes.find((box) => box.classList.contains("recurrent")) || boxes[0];
    choose(named && document.getElementById("node-" + named[1]) ? named[1] : weighty.dataset.node, false);
  }

  const drawing = document.getElementById("drawing");
  if (drawing) {
    const canvas = drawing.parentElement;
    const [width, height] = ["width", "height"].map((side) => Number(drawing.getAttribute(side)));
    let scale = 1;
    const zoom = (to) => { // around the middle of what is shown
      const half = [canvas.clientWidth / 2, canvas.clientHeight / 2];
      const middle = [(canvas.scrollLeft + half[0]) / scale, (canvas.scrollTop + half[1]) / scale];
      scale = Math.min(3, Math.max(0.02, to));
      drawing.setAttribute("width", String(Math.round(width * scale)));
      drawing.setAttribute("height", String(Math.round(height * scale)));
      canvas.scrollTo({ left: middle[0] * scale - half[0], top: middle[1] * scale - half[1], behavior: "instant" });
    };
    const fit = () => zoom(Math.min(1, (canvas.clientWidth - 8) / width));
    const how = { in: () => zoom(scale * 1.25), out: () => zoom(scale / 1.25), fit };
    all("[data-zoom]").forEach((button) => button.addEventListener("click", () => how[button.dataset.zoom]()));
    if (width > canvas.clientWidth && width * 0.6 < canvas.clientWidth) fit();
    const middle = boxes.find((box) => box.classList.contains("chosen"));
    if (middle) canvas.scrollLeft = (middle.getBBox().x + middle.getBBox().width / 2) * scale - canvas.clientWidth / 2;
  }

  // The gates: a slider moves a line over the maps, and shows every unit at that time step.
  const data = JSON.parse(document.getElementById("gates-data").textContent);
  const nodes = all(".gate-node").map((section) => {
    const about = data[Number(section.dataset.place)];
    const gates = all("figure", section).map((figure, place) => {
      const gate = about.gates[place];
      return {
        figure, words: gate.words, low: gate.low, high: gate.high,
        levels: Uint8Array.from(atob(gate.levels), (letter) => letter.charCodeAt(0)),
      };
    });
    return { section, steps: about.steps, units: about.units, gates, slider: section.querySelector("input") };
  });

  const bars = (gate, step, units) => {
    const zero = 40 * (gate.high / (gate.high - gate.low)); // y of the number 0
    const wide = 100 / units;
    let path = "";
    for (let unit = 0; unit < units; unit += 1) {
      const level = gate.levels[step * units + unit];
      if (level === 255) continue;
      const x = (unit * wide).toFixed(2);
      path += `M${x},${zero.toFixed(2)}V${(40 - (level / 254) * 40).toFixed(2)}h${(wide * 0.8).toFixed(2)}V${zero.toFixed(2)}z`;
    }
    return path;
  };
  const mark = (mapped, at, of) => {
    const cursor = mapped.querySelector(".cursor");
    cursor.style.left = (100 * at) / of + "%";
    cursor.style.width = 100 / of + "%";
  };
  const show = (node, step) => {
    const last = node.steps.length - 1;
    const time = node.steps[step];
    const words = `${time} of 0 … ${node.steps[last]}`;
    node.slider.value = String(step);
    node.slider.setAttribute("aria-valuetext", `time step ${words}`);
    node.section.querySelector("output").textContent = words;
    node.gates.forEach((gate) => {
      mark(gate.figure.querySelector(".mapped"), step, node.steps.length);
      gate.figure.querySelector(".profile path").setAttribute("d", bars(gate, step, node.units));
      gate.figure.querySelector(".read").textContent = gate.words[step];
    });
  };
  const inputs = all(".mapped.input");
  const move = (from, step) => {
    const time = from.steps[step];
    nodes.forEach((node) => {
      const at = node.steps.indexOf(time);
      if (node === from || (node.steps.length === from.steps.length && at >= 0)) show(node, node === from ? step : at);
    });
    inputs.forEach((input) => { if (time < Number(input.dataset.steps)) mark(input, time, Number(input.dataset.steps)); });
  };
  nodes.forEach((node) => {
    node.slider.addEventListener("input", () => move(node, Number(node.slider.value)));
    all(".mapped", node.section).forEach((mapped) => {
      const at = (event) => {
        const box = mapped.getBoundingClientRect();
        const step = Math.floor(((event.clientX - box.left) / box.width) * node.steps.length);
        move(node, Math.min(node.steps.length - 1, Math.max(0, step)));
      };
      mapped.addEventListener("pointerdown", at);
      mapped.addEventListener("pointermove", (event) => { if (event.buttons) at(event); });
    });
    show(node, 0);
  });
  if (nodes.length) move(nodes[0], 0);

  const picker = document.getElementById("gates-node");
  const pick = (place) => nodes.forEach((node) => { node.section.hidden = node.section.dataset.place !== place; });
  if (picker) {
    picker.addEventListener("change", () => pick(picker.value));
    pick(picker.value);
  }

  // On paper there is nothing to open.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    closed.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((one) => { one.open = false; }));
})();
