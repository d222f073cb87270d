// The values under the pointer. Names come from people and are only ever set as text.
for (const figure of document.querySelectorAll(".chart")) {
  const data = JSON.parse(figure.dataset.chart);
  const svg = figure.querySelector("svg"), cursor = figure.querySelector(".cursor"), tip = figure.querySelector(".tip");
  const [low, high, start, stop, logarithmic] = data.axis;
  const scale = logarithmic ? Math.log : (value) => value;
  const place = (value) => start + ((scale(value) - scale(low)) / (scale(high) - scale(low) || 1)) * (stop - start);
  const number = (value) => (Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(+value.toPrecision(4)));

  function nearest(points, x) {
    let [from, to] = [0, points.length - 1];
    while (to - from > 1) {
      const middle = (from + to) >> 1;
      if (place(points[middle][0]) < x) from = middle; else to = middle;
    }
    return Math.abs(place(points[from][0]) - x) <= Math.abs(place(points[to][0]) - x) ? points[from] : points[to];
  }

  function show(event) {
    const box = svg.getBoundingClientRect(), frame = figure.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    const found = data.lines.map((line) => [line, nearest(line.points, x)]);
    found.sort((a, b) => Math.abs(place(a[1][0]) - x) - Math.abs(place(b[1][0]) - x));
    const at = place(found[0][1][0]);
    cursor.setAttribute("x1", at);
    cursor.setAttribute("x2", at);
    tip.replaceChildren(text(`${data.below} ${number(found[0][1][0])}`, ""));
    for (const line of data.lines) {
      const point = nearest(line.points, at);
      const away = Math.abs(place(point[0]) - at) > 8 ? ` (${data.below} ${number(point[0])})` : "";
      tip.append(text(`${line.name} ${number(point[1])}${away}`, `s${line.colour}`));
    }
    const left = box.left - frame.left + (at / svg.viewBox.baseVal.width) * box.width;
    tip.style.left = `${left + tip.offsetWidth + 16 > frame.width ? left - tip.offsetWidth - 10 : left + 10}px`;
    tip.style.top = `${box.top - frame.top + 12}px`;
    cursor.style.visibility = tip.style.visibility = "visible";
  }

  function text(words, kind) {
    const row = document.createElement("div");
    row.textContent = words;
    row.className = kind;
    return row;
  }

  svg.addEventListener("pointermove", show);
  svg.addEventListener("pointerleave", () => { cursor.style.visibility = tip.style.visibility = "hidden"; });
}
