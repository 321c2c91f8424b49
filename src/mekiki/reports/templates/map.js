"use strict";
(() => {
  // Texts reach the page as text only: textContent, aria-label, fillText. Nothing is made from markup.
  const data = JSON.parse(document.getElementById("points").textContent);
  const n = data.x.length;
  const byId = (id) => document.getElementById(id);
  const canvas = byId("map"), pen = canvas.getContext("2d"), stage = byId("stage"), card = byId("card");
  const media = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 45rem)");

  // Okabe and Ito's colours, then the same with other shapes; what comes after is grey.
  const HUES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#8a8f2a", "#8f1d3f", "#3f5f8a", "#6b4423", "#7fbf3f"];
  const SHAPES = ["circle", "square", "triangle", "diamond"];
  const RAMP = ["#b9c2c6", "#c3b9a0", "#d3ad74", "#e09c4d", "#e5842f", "#df661f", "#cf4620", "#b82a2c", "#98163b", "#720a44"];
  const DARK_RAMP = ["#4c5559", "#655d4c", "#826640", "#a06f35", "#c27a2c", "#dd8a2f", "#ef9f45", "#f7b76c", "#fbd09a", "#fee9cd"];
  const GREY = "#8b9194";

  const MOST_SMALL = 120; // so many points in view, and there is room for their pictures

  const xs = Float64Array.from(data.x), ys = Float64Array.from(data.y);
  let colorBy = data.colorBy;
  let scale = 1, left = 0, top = 0; // a point's place on the canvas is (x * scale + left, y * scale + top), in CSS pixels
  let wide = 0, high = 0, ratio = 1, picture = null, pixels = null;
  let hovered = -1, pinned = -1, isDrawn = false, isTouched = false; // touched: moved or zoomed by the reader
  const hidden = { class: new Set(), part: new Set() };
  const shown = new Uint8Array(n).fill(1);
  let nShown = n, rarest = 100, wanted = "";

  // ---- Which points are near a place: a grid of cells, each a run of one list.
  const cells = Math.max(1, Math.min(256, Math.ceil(Math.sqrt(n / 3))));
  const cellOf = (v) => Math.min(cells - 1, Math.floor((v / (data.side + 1)) * cells));
  const starts = new Uint32Array(cells * cells + 1), inCells = new Uint32Array(n);
  for (let i = 0; i < n; i++) starts[cellOf(data.y[i]) * cells + cellOf(data.x[i]) + 1]++;
  for (let c = 0; c < cells * cells; c++) starts[c + 1] += starts[c];
  const next = starts.slice();
  for (let i = 0; i < n; i++) inCells[next[cellOf(data.y[i]) * cells + cellOf(data.x[i])]++] = i;

  function nearest(px, py, withinPx) {
    const x = (px - left) / scale, y = (py - top) / scale, reach = withinPx / scale;
    const clamp = (v) => cellOf(Math.max(0, Math.min(data.side, v)));
    let best = -1, bestSquare = reach * reach;
    for (let row = clamp(y - reach); row <= clamp(y + reach); row++) {
      for (let column = clamp(x - reach); column <= clamp(x + reach); column++) {
        const cell = row * cells + column;
        for (let k = starts[cell]; k < starts[cell + 1]; k++) {
          const i = inCells[k], dx = data.x[i] - x, dy = data.y[i] - y, square = dx * dx + dy * dy;
          if (shown[i] && square <= bestSquare) { best = i; bestSquare = square; }
        }
      }
    }
    return best;
  }

  // ---- Colours and shapes.
  const namesOf = (by) => (by === "class" ? data.classes : data.parts);
  const isNobody = (by, number) => number === namesOf(by).length - 1 && /^no (class|part)$/.test(namesOf(by)[number]);
  function look(by, number) {
    if (isNobody(by, number) || number >= HUES.length * SHAPES.length) return { color: GREY, shape: "circle" };
    return { color: HUES[number % HUES.length], shape: SHAPES[Math.floor(number / HUES.length)] };
  }
  const ramp = () => (media.matches ? DARK_RAMP : RAMP);
  const rampStep = (i) => (data.rarity[i] === null ? -1 : Math.min(RAMP.length - 1, Math.floor(data.rarity[i] * RAMP.length)));
  const lookOf = (i) => {
    if (colorBy !== "rarity") return look(colorBy, data[colorBy][i]);
    const step = rampStep(i);
    return { color: step < 0 ? GREY : ramp()[step], shape: "circle" };
  };

  function shape(context, kind, x, y, r) {
    context.beginPath();
    if (kind === "square") context.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
    else if (kind === "triangle") { context.moveTo(x, y - r * 1.15); context.lineTo(x + r * 1.1, y + r * 0.85); context.lineTo(x - r * 1.1, y + r * 0.85); context.closePath(); }
    else if (kind === "diamond") { context.moveTo(x, y - r * 1.25); context.lineTo(x + r * 1.25, y); context.lineTo(x, y + r * 1.25); context.lineTo(x - r * 1.25, y); context.closePath(); }
    else context.arc(x, y, r, 0, 2 * Math.PI);
  }
  function stamp(color, kind, r) { // the pixels of one dot, to be copied thousands of times
    const half = Math.ceil(r * 1.3) + 1, dot = document.createElement("canvas");
    dot.width = dot.height = 2 * half;
    const brush = dot.getContext("2d");
    brush.fillStyle = color;
    shape(brush, kind, half, half, r);
    brush.fill();
    const words = new Uint32Array(brush.getImageData(0, 0, 2 * half, 2 * half).data.buffer), inside = [], edge = [];
    for (let at = 0; at < words.length; at++) {
      const opacity = new Uint8Array(words.buffer, 4 * at, 4)[3];
      if (opacity > 24) (opacity > 200 ? inside : edge).push(at);
    }
    const offsets = (list) => Int32Array.from(list, (at) => (Math.floor(at / (2 * half)) - half) * canvas.width + (at % (2 * half)) - half);
    const colors = (list) => Uint32Array.from(list, (at) => words[at]);
    return { half, inside: offsets(inside), insideColors: colors(inside), edge: offsets(edge), edgeColors: colors(edge) };
  }

  // The order of painting: classes as they come, the most frequent first; the rarest last, so that they lie on top.
  let order = new Uint32Array(n), kinds = new Int32Array(n);
  function sortForPainting() {
    kinds = Int32Array.from({ length: n }, (_, i) => (colorBy === "rarity" ? rampStep(i) : data[colorBy][i]));
    const value = (i) => (colorBy === "rarity" ? (data.rarity[i] ?? -1) : kinds[i]);
    order = Uint32Array.from(Array.from({ length: n }, (_, i) => i).sort((a, b) => value(a) - value(b) || a - b));
  }

  // ---- Sheets of pictures, decoded when one of theirs is looked at first.
  const tile = data.tile, perSheet = tile.across * tile.across, sheets = new Map();
  const hasTile = (i) => tile.sizes.length > 0 && tile.sizes[i][0] > 0;
  function sheetOf(i) {
    const number = Math.floor(i / perSheet);
    let image = sheets.get(number);
    if (image) { sheets.delete(number); sheets.set(number, image); return image; } // it was used last
    image = new Image();
    image.onload = () => { redraw(); if (current() >= 0) drawPicture(current()); };
    image.src = "data:image/jpeg;base64," + byId("sheet-" + number).textContent;
    sheets.set(number, image);
    if (sheets.size > 48) sheets.delete(sheets.keys().next().value);
    return image;
  }
  function drawTile(context, i, x, y, width, height) {
    const image = sheetOf(i);
    if (!image.complete || !image.naturalWidth) return false;
    const place = i % perSheet, [w, h] = tile.sizes[i];
    context.drawImage(image, (place % tile.across) * tile.side, Math.floor(place / tile.across) * tile.side, w, h, x, y, width, height);
    return true;
  }

  // ---- Drawing, at most once a frame.
  function radius() {
    const base = n > 8000 ? 1.9 : n > 2000 ? 2.6 : n > 400 ? 3.6 : 5;
    return Math.min(9, base * Math.sqrt(Math.max(1, scale / fitScale())) ** 0.8);
  }
  const fitScale = () => Math.max(1e-6, Math.min(wide, high) - 48) / data.side;
  function redraw() {
    if (isDrawn) return;
    isDrawn = true;
    requestAnimationFrame(draw);
  }
  function draw() {
    const began = performance.now();
    isDrawn = false;
    // Dots are copied pixel by pixel, which takes a tenth of the time that drawing them takes without a graphics card.
    pixels.fill(0);
    const r = radius(), s = scale * ratio, ox = left * ratio, oy = top * ratio;
    const across = canvas.width, down = canvas.height, stamps = new Map(), inView = [], rim = [];
    let key = -2, dot = null;
    for (let k = 0; k < n; k++) {
      const i = order[k];
      if (shown[i] === 0) continue;
      const x = Math.round(xs[i] * s + ox), y = Math.round(ys[i] * s + oy);
      if (x < 0 || y < 0 || x >= across || y >= down) continue;
      const kind = kinds[i];
      if (kind !== key) {
        key = kind;
        if (!stamps.has(key)) { const { color, shape: form } = lookOf(i); stamps.set(key, stamp(color, form, r * ratio)); }
        dot = stamps.get(key);
      }
      if (inView.length <= MOST_SMALL) inView.push(i);
      if (x < dot.half || y < dot.half || x >= across - dot.half || y >= down - dot.half) { rim.push(i); continue; }
      const at = y * across + x, { inside, insideColors, edge, edgeColors } = dot;
      for (let j = 0; j < inside.length; j++) pixels[at + inside[j]] = insideColors[j];
      for (let j = 0; j < edge.length; j++) if (pixels[at + edge[j]] === 0) pixels[at + edge[j]] = edgeColors[j];
    }
    pen.putImageData(picture, 0, 0);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const i of rim) { // cut off by the edge, which copied pixels would wrap around
      const { color, shape: form } = lookOf(i);
      pen.fillStyle = color;
      shape(pen, form, xs[i] * scale + left, ys[i] * scale + top, r);
      pen.fill();
    }
    if (inView.length <= MOST_SMALL && scale > fitScale() * 1.5) inView.forEach(drawSmall);
    if (pinned >= 0) ring(pinned, r + 4, 3);
    if (hovered >= 0 && hovered !== pinned) ring(hovered, r + 3, 2);
    canvas.dataset.redrawMs = (performance.now() - began).toFixed(2);
    canvas.dataset.redraws = Number(canvas.dataset.redraws || 0) + 1;
  }
  function drawSmall(i) { // few enough are in view: their pictures in place of dots
    if (!hasTile(i)) return;
    const [w, h] = tile.sizes[i], unit = 44 / Math.max(w, h), x = data.x[i] * scale + left, y = data.y[i] * scale + top;
    if (!drawTile(pen, i, x - (w * unit) / 2, y - (h * unit) / 2, w * unit, h * unit)) return;
    pen.strokeStyle = lookOf(i).color;
    pen.lineWidth = 2;
    pen.strokeRect(x - (w * unit) / 2, y - (h * unit) / 2, w * unit, h * unit);
  }
  function ring(i, r, width) {
    pen.strokeStyle = getComputedStyle(document.body).color;
    pen.lineWidth = width;
    pen.beginPath();
    pen.arc(data.x[i] * scale + left, data.y[i] * scale + top, r, 0, 2 * Math.PI);
    pen.stroke();
  }

  // ---- The card of the point that is held, or under the pointer.
  const current = () => (pinned >= 0 ? pinned : hovered);
  const isInView = (i) => {
    const x = xs[i] * scale + left, y = ys[i] * scale + top;
    return x >= 0 && y >= 0 && x <= wide && y <= high;
  };
  function fact(name, text) {
    if (text === "" || text === null) return;
    const term = document.createElement("dt"), value = document.createElement("dd");
    term.textContent = name;
    value.textContent = text;
    byId("facts").append(term, value);
  }
  function drawPicture(i) {
    const shownIn = byId("picture");
    shownIn.hidden = !hasTile(i);
    card.classList.toggle("beside", !shownIn.hidden);
    if (shownIn.hidden) return;
    const [w, h] = tile.sizes[i], most = narrow.matches ? 128 : 192, unit = most / Math.max(w, h);
    shownIn.width = Math.max(1, Math.round(w * unit * ratio));
    shownIn.height = Math.max(1, Math.round(h * unit * ratio));
    shownIn.style.width = Math.round(w * unit) + "px";
    const brush = shownIn.getContext("2d");
    brush.imageSmoothingQuality = "high";
    drawTile(brush, i, 0, 0, shownIn.width, shownIn.height);
    shownIn.setAttribute("aria-label", "Picture of " + data.classes[data.class[i]]);
  }
  function showCard() {
    const i = current();
    card.hidden = i < 0 || !isInView(i);
    if (card.hidden) return;
    card.classList.toggle("pinned", pinned >= 0);
    byId("close").hidden = pinned < 0;
    drawPicture(i);
    const name = data.classes[data.class[i]], score = data.score[i];
    byId("card-class").textContent = score === null ? name : name + " (" + score.toFixed(2) + ")";
    byId("facts").replaceChildren();
    fact("part", data.choices.includes("part") ? data.parts[data.part[i]] : "");
    fact("rarity", data.rarity[i] === null ? "" : data.rarity[i].toFixed(3));
    fact("chosen", data.rank[i] === null ? "" : "as number " + data.rank[i]);
    fact("file", data.folders[data.name[i][0]] + data.name[i][1]);
    if (pinned >= 0) fact("id", data.id[i]);
    if (tile.sizes.length && !hasTile(i)) fact("picture", "not readable");
    if (narrow.matches) return;
    const x = data.x[i] * scale + left, y = data.y[i] * scale + top, box = card.getBoundingClientRect();
    card.style.left = Math.max(6, x + 22 + box.width < wide ? x + 16 : Math.min(x - 16, wide - 6) - box.width) + "px";
    card.style.top = Math.max(6, Math.min(high - box.height - 6, y - box.height / 3)) + "px";
  }
  function hover(i) { if (i !== hovered) { hovered = i; if (pinned < 0) showCard(); redraw(); } }
  function pin(i) { pinned = i; showCard(); redraw(); }

  // ---- Moving and zooming.
  function zoom(factor, px, py) {
    const least = fitScale() * 0.5, most = fitScale() * 400, wantedScale = Math.max(least, Math.min(most, scale * factor));
    left = px - ((px - left) * wantedScale) / scale;
    top = py - ((py - top) * wantedScale) / scale;
    scale = wantedScale;
    isTouched = true;
    moved();
  }
  function pan(dx, dy) { left += dx; top += dy; isTouched = true; moved(); }
  function moved() { if (current() >= 0) showCard(); redraw(); }
  function fit() {
    isTouched = false;
    scale = fitScale();
    left = (wide - data.side * scale) / 2;
    top = (high - data.side * scale) / 2;
    moved();
  }
  function resize() {
    const before = [wide, high];
    [wide, high, ratio] = [stage.clientWidth, stage.clientHeight, window.devicePixelRatio || 1];
    canvas.width = Math.max(1, Math.round(wide * ratio));
    canvas.height = Math.max(1, Math.round(high * ratio));
    picture = pen.createImageData(canvas.width, canvas.height);
    pixels = new Uint32Array(picture.data.buffer);
    if (!isTouched) fit();
    else pan((wide - before[0]) / 2, (high - before[1]) / 2);
  }

  const pointers = new Map();
  let travelled = 0, spread = 0;
  const place = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  const reach = (event) => (event.pointerType === "mouse" ? 14 : 26);
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? high : 1;
    zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0016)), ...place(event));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
    if (pointers.size === 1) travelled = 0;
    if (pointers.size === 2) { const [a, b] = [...pointers.values()]; spread = Math.hypot(a[0] - b[0], a[1] - b[1]); }
  });
  canvas.addEventListener("pointermove", (event) => {
    const here = place(event), before = pointers.get(event.pointerId);
    if (!before) { if (event.pointerType === "mouse") hover(nearest(...here, reach(event))); return; }
    pointers.set(event.pointerId, here);
    const share = 1 / pointers.size, [dx, dy] = [(here[0] - before[0]) * share, (here[1] - before[1]) * share];
    travelled += Math.abs(dx) + Math.abs(dy);
    if (travelled > 4) pan(dx, dy);
    if (pointers.size === 2) {
      const [a, b] = [...pointers.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]);
      if (spread > 0 && now > 0) zoom(now / spread, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
      spread = now;
    }
  });
  const released = (event) => {
    const wasAlone = pointers.size === 1 && pointers.delete(event.pointerId);
    pointers.delete(event.pointerId);
    if (event.type === "pointerup" && wasAlone && travelled <= 4) { const found = nearest(...place(event), reach(event)); pin(found === pinned ? -1 : found); }
  };
  canvas.addEventListener("pointerup", released);
  canvas.addEventListener("pointercancel", released);
  canvas.addEventListener("pointerleave", () => { if (!pointers.size) hover(-1); });
  canvas.addEventListener("dblclick", (event) => zoom(2, ...place(event)));

  function step(by) { // from point to point: the rarest first, else from left to right
    const value = data.choices.includes("rarity") ? (i) => -(data.rarity[i] ?? -1) : (i) => data.x[i];
    const row = Array.from({ length: n }, (_, i) => i).filter((i) => shown[i]).sort((a, b) => value(a) - value(b) || a - b);
    if (!row.length) return;
    const at = row.indexOf(pinned);
    const i = row[at < 0 ? (by > 0 ? 0 : row.length - 1) : (at + by + row.length) % row.length];
    const x = data.x[i] * scale + left, y = data.y[i] * scale + top;
    if (x < 20 || y < 20 || x > wide - 20 || y > high - 20) { left += wide / 2 - x; top += high / 2 - y; }
    pin(i);
  }
  const zoomByKey = (factor) => { // around the point that is held, so that it stays in sight
    const isHeld = pinned >= 0 && isInView(pinned);
    zoom(factor, isHeld ? xs[pinned] * scale + left : wide / 2, isHeld ? ys[pinned] * scale + top : high / 2);
  };
  const KEYS = {
    ArrowLeft: () => pan(60, 0), ArrowRight: () => pan(-60, 0), ArrowUp: () => pan(0, 60), ArrowDown: () => pan(0, -60),
    "+": () => zoomByKey(1.4), "=": () => zoomByKey(1.4), "-": () => zoomByKey(1 / 1.4),
    0: fit, n: () => step(1), p: () => step(-1), Escape: () => pin(-1),
  };
  canvas.addEventListener("keydown", (event) => {
    const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  });
  byId("zoom-in").addEventListener("click", () => zoomByKey(1.6));
  byId("zoom-out").addEventListener("click", () => zoomByKey(1 / 1.6));
  byId("fit").addEventListener("click", fit);
  byId("close").addEventListener("click", () => { pin(-1); canvas.focus(); });

  // ---- What is shown: the legend, the search, the rarest.
  const lower = data.classes.map((name) => name.toLowerCase());
  const byRarity = data.rarity.filter((one) => one !== null).sort((a, b) => b - a);
  function choose() {
    const cut = rarest < 100 && byRarity.length ? byRarity[Math.max(0, Math.ceil((byRarity.length * rarest) / 100) - 1)] : -1;
    nShown = 0;
    for (let i = 0; i < n; i++) {
      const isWanted = !wanted || lower[data.class[i]].includes(wanted) || (data.folders[data.name[i][0]] + data.name[i][1]).toLowerCase().includes(wanted);
      shown[i] = isWanted && !hidden.class.has(data.class[i]) && !hidden.part.has(data.part[i]) && (cut < 0 || (data.rarity[i] !== null && data.rarity[i] >= cut)) ? 1 : 0;
      nShown += shown[i];
    }
    byId("shown").textContent = nShown.toLocaleString("en") + " of " + n.toLocaleString("en") + " points are shown.";
    if (pinned >= 0 && !shown[pinned]) pinned = -1;
    if (hovered >= 0 && !shown[hovered]) hovered = -1;
    showCard();
    redraw();
  }
  function swatch(by, number) {
    const dot = document.createElement("canvas"), { color, shape: form } = look(by, number);
    dot.width = dot.height = Math.round(14 * ratio);
    dot.style.width = dot.style.height = "14px";
    const brush = dot.getContext("2d");
    brush.fillStyle = color;
    shape(brush, form, dot.width / 2, dot.width / 2, 5 * ratio);
    brush.fill();
    dot.setAttribute("aria-hidden", "true");
    return dot;
  }
  function legend() {
    const by = colorBy === "part" ? "part" : "class", counts = new Array(namesOf(by).length).fill(0);
    for (let i = 0; i < n; i++) counts[data[by][i]]++;
    byId("legend-title").textContent = by === "class" ? "Classes" : "Parts";
    byId("ramp").hidden = colorBy !== "rarity";
    byId("legend").replaceChildren(...namesOf(by).map((name, number) => {
      const row = document.createElement("li"), label = document.createElement("label"), box = document.createElement("input");
      const text = document.createElement("span"), count = document.createElement("span"), only = document.createElement("button");
      box.type = "checkbox";
      box.checked = !hidden[by].has(number);
      box.addEventListener("change", () => { if (box.checked) hidden[by].delete(number); else hidden[by].add(number); choose(); });
      text.textContent = name;
      count.className = "count";
      count.textContent = counts[number].toLocaleString("en");
      only.type = "button";
      only.textContent = "only";
      only.setAttribute("aria-label", "Only " + name);
      only.addEventListener("click", () => { hidden[by] = new Set(namesOf(by).keys()); hidden[by].delete(number); legend(); choose(); });
      label.append(box, ...(colorBy === "rarity" ? [] : [swatch(by, number)]), text, count);
      row.append(label, only);
      return row;
    }));
    paintRamp();
  }
  function paintRamp() {
    const strip = byId("ramp-colors"), brush = strip.getContext("2d");
    [strip.width, strip.height] = [RAMP.length, 1];
    ramp().forEach((color, step) => { brush.fillStyle = color; brush.fillRect(step, 0, 1, 1); });
  }
  const legendOf = () => (colorBy === "part" ? "part" : "class");
  byId("all").addEventListener("click", () => { hidden[legendOf()].clear(); legend(); choose(); });
  byId("none").addEventListener("click", () => { hidden[legendOf()] = new Set(namesOf(legendOf()).keys()); legend(); choose(); });
  byId("search").addEventListener("input", (event) => { wanted = event.target.value.trim().toLowerCase(); choose(); });
  const slider = byId("rarest");
  const tellRarest = () => { byId("rarest-value").textContent = slider.value + " %"; };
  slider.addEventListener("input", () => { rarest = Number(slider.value); tellRarest(); choose(); });
  byId("rarest-row").hidden = !data.choices.includes("rarity");
  tellRarest();
  for (const by of data.choices) {
    const label = document.createElement("label"), button = document.createElement("input");
    button.type = "radio";
    button.name = "color";
    button.value = by;
    button.checked = by === colorBy;
    button.addEventListener("change", () => { colorBy = by; sortForPainting(); legend(); redraw(); });
    label.append(button, by);
    byId("colors").append(label);
  }
  byId("colors").hidden = data.choices.length < 2;
  media.addEventListener("change", () => { legend(); redraw(); });
  new ResizeObserver(resize).observe(stage);
  sortForPainting();
  resize();
  legend();
  choose();
})();
