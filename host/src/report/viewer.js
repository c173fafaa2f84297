// Draws points in up to three dimensions on a canvas; drag or arrow keys turn it, wheel or +/- zoom.
(function () {
  const data = JSON.parse(document.getElementById("manifold-data").textContent);
  const canvas = document.getElementById("manifold-view");
  const buttons = document.querySelectorAll("[data-integral]");
  const context = canvas.getContext("2d");
  const points = data.points.map((p) => [p[0] || 0, p[1] || 0, p[2] || 0]);
  let size = 0;
  for (let k = 0; k < 3; k++) {
    const middle = points.reduce((sum, p) => sum + p[k], 0) / points.length;
    for (const p of points) {
      p[k] -= middle;
      size = Math.max(size, Math.abs(p[k]));
    }
  }
  let turn = 0.7, tilt = 0.45, zoom = 1, integral = 0, drag = null;

  function project(p) {
    const [x, y, z] = p;
    const a = x * Math.cos(turn) + y * Math.sin(turn);
    const b = y * Math.cos(turn) - x * Math.sin(turn);
    return [a, z * Math.cos(tilt) - b * Math.sin(tilt), b * Math.cos(tilt) + z * Math.sin(tilt)];
  }

  function draw() {
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    context.scale(ratio, ratio);
    const scale = (0.44 * Math.min(width, height) * zoom) / size;
    const place = (p) => [width / 2 + p[0] * scale, height / 2 - p[1] * scale];
    const style = getComputedStyle(canvas);
    context.font = "12px system-ui, sans-serif";
    for (let k = 0; k < data.dimension; k++) {
      const end = [0, 0, 0], start = [0, 0, 0];
      end[k] = size;
      start[k] = -size;
      const [x, y] = place(project(end)), [x0, y0] = place(project(start));
      context.strokeStyle = style.getPropertyValue("--soft");
      context.globalAlpha = 0.5;
      context.beginPath();
      context.moveTo(x0, y0);
      context.lineTo(x, y);
      context.stroke();
      context.globalAlpha = 1;
      context.fillStyle = style.getPropertyValue("--soft");
      context.fillText("coordinate " + (k + 1), x + 4, y - 4);
    }
    const order = points.map((p, i) => [project(p), i]).sort((a, b) => b[0][2] - a[0][2]);
    context.globalAlpha = 0.85;
    for (const [p, i] of order) {
      const [x, y] = place(p);
      context.fillStyle = data.colours[integral][i];
      context.beginPath();
      context.arc(x, y, 1.7 * Math.sqrt(zoom), 0, 7);
      context.fill();
    }
  }

  function show() { requestAnimationFrame(draw); }
  canvas.addEventListener("pointerdown", (e) => { drag = [e.clientX, e.clientY]; canvas.setPointerCapture(e.pointerId); });
  canvas.addEventListener("pointerup", () => { drag = null; });
  canvas.addEventListener("pointermove", (e) => {
    if (!drag) return;
    turn -= (e.clientX - drag[0]) * 0.01;
    tilt += (e.clientY - drag[1]) * 0.01;
    drag = [e.clientX, e.clientY];
    show();
  });
  canvas.addEventListener("wheel", (e) => { e.preventDefault(); zoom *= Math.exp(-e.deltaY * 0.001); show(); }, { passive: false });
  canvas.addEventListener("keydown", (e) => {
    const moves = { ArrowLeft: () => (turn += 0.1), ArrowRight: () => (turn -= 0.1), ArrowUp: () => (tilt -= 0.1), ArrowDown: () => (tilt += 0.1), "+": () => (zoom *= 1.1), "-": () => (zoom /= 1.1) };
    if (moves[e.key]) { moves[e.key](); e.preventDefault(); show(); }
  });
  for (const button of buttons) {
    button.addEventListener("click", () => {
      integral = Number(button.dataset.integral);
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      show();
    });
  }
  window.addEventListener("resize", show);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
})();
