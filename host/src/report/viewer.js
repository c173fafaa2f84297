// Draws points in two or three dimensions on a canvas. Drag or arrow keys turn; pinch, wheel and +/- zoom.
(function () {
  const data = JSON.parse(document.getElementById("manifold-data").textContent);
  const viewer = document.getElementById("manifold-viewer");
  const canvas = document.getElementById("manifold-view");
  const context = canvas.getContext("2d");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const points = data.points.map((p) => [p[0], p[1], p[2] || 0]);
  for (let k = 0; k < 3; k++) {
    const along = points.map((p) => p[k]);
    const middle = (Math.min(...along) + Math.max(...along)) / 2;
    for (const p of points) p[k] -= middle;
  }
  const size = Math.max(1, ...points.map((p) => Math.hypot(...p)));
  const start = data.dimension === 3 ? [0.7, 0.45] : [0, Math.PI / 2];
  const pointers = new Map();
  let [turn, tilt] = start, zoom = 1, integral = 0;

  function project([x, y, z]) {
    const a = x * Math.cos(turn) + y * Math.sin(turn);
    const b = y * Math.cos(turn) - x * Math.sin(turn);
    return [a, z * Math.cos(tilt) + b * Math.sin(tilt), b * Math.cos(tilt) - z * Math.sin(tilt)];
  }

  function colour(level) {
    const stops = dark.matches
      ? [[88, 176, 232], [98, 107, 118], [255, 145, 77]]
      : [[0, 114, 178], [190, 195, 200], [213, 94, 0]];
    const at = level / 100, low = at < 1 ? 0 : 1, part = at - low;
    return "rgb(" + stops[low].map((x, k) => Math.round(x * (1 - part) + stops[low + 1][k] * part)) + ")";
  }

  function draw() {
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    context.scale(ratio, ratio);
    const scale = (0.62 * Math.min(width, height) * zoom) / size;
    const place = (p) => [width / 2 + p[0] * scale, height / 2 - p[1] * scale];
    const soft = getComputedStyle(canvas).getPropertyValue("--soft");
    const labels = [];
    context.font = "12px system-ui, sans-serif";
    context.strokeStyle = context.fillStyle = soft;
    context.globalAlpha = 0.45;
    for (let k = 0; k < data.dimension; k++) {
      const end = [0, 0, 0];
      end[k] = 0.7 * size;
      const [x, y] = place(project(end)), [x0, y0] = place(project(end.map((e) => -e)));
      context.beginPath();
      context.moveTo(x0, y0);
      context.lineTo(x, y);
      context.stroke();
      labels.push(["coordinate " + (k + 1), x, y]);
    }
    context.globalAlpha = 0.9;
    const order = points.map((p, i) => [project(p), i]).sort((a, b) => b[0][2] - a[0][2]);
    for (const [p, i] of order) {
      const [x, y] = place(p);
      context.fillStyle = colour(data.levels[integral][i]);
      context.beginPath();
      context.arc(x, y, 2 * Math.sqrt(zoom), 0, 7);
      context.fill();
    }
    context.globalAlpha = 1;
    context.fillStyle = soft;
    for (const [text, x, y] of labels) {
      const room = width - context.measureText(text).width - 6;
      context.fillText(text, Math.max(6, Math.min(x + 5, room)), Math.max(14, Math.min(y - 5, height - 6)));
    }
  }

  function show() { requestAnimationFrame(draw); }
  function enlarge(factor) {
    if (factor) zoom = Math.min(20, Math.max(0.3, zoom * factor));
    else [zoom, turn, tilt] = [1, ...start];
    show();
  }
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return Math.hypot(a[0] - b[0], a[1] - b[1]);
  };
  canvas.addEventListener("pointerdown", (e) => {
    pointers.set(e.pointerId, [e.clientX, e.clientY]);
    canvas.setPointerCapture(e.pointerId);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (e) => pointers.delete(e.pointerId));
  canvas.addEventListener("pointermove", (e) => {
    const last = pointers.get(e.pointerId);
    if (!last) return;
    const before = pointers.size === 2 ? spread() : 0;
    pointers.set(e.pointerId, [e.clientX, e.clientY]);
    if (before > 0) return enlarge(spread() / before || 1);
    turn -= (e.clientX - last[0]) * 0.01;
    tilt += (e.clientY - last[1]) * 0.01;
    show();
  });
  // A wheel that passes by scrolls the page; it zooms once the view was clicked.
  canvas.addEventListener("wheel", (e) => {
    if (document.activeElement !== canvas) return;
    e.preventDefault();
    enlarge(Math.exp(-e.deltaY * 0.001));
  }, { passive: false });
  const keys = {
    ArrowLeft: () => (turn += 0.1), ArrowRight: () => (turn -= 0.1),
    ArrowUp: () => (tilt -= 0.1), ArrowDown: () => (tilt += 0.1),
    "+": () => enlarge(1.1), "=": () => enlarge(1.1), "-": () => enlarge(1 / 1.1), 0: () => enlarge(0),
  };
  canvas.addEventListener("keydown", (e) => {
    if (!keys[e.key] || e.ctrlKey || e.metaKey) return;
    keys[e.key]();
    e.preventDefault();
    show();
  });
  const buttons = viewer.querySelectorAll("[data-integral]");
  for (const button of buttons) {
    button.addEventListener("click", () => {
      integral = Number(button.dataset.integral);
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      show();
    });
  }
  for (const button of viewer.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => enlarge(Number(button.dataset.zoom)));
  }
  viewer.hidden = false;
  window.addEventListener("resize", show);
  dark.addEventListener("change", show);
  show();
})();
