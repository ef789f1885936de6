// Numbers and tables.
const number = v => {
  if (!Number.isFinite(v)) return Number.isNaN(v) ? "NaN" : v > 0 ? "∞" : "−∞";
  if (Math.abs(v) < 5e-13) return "0";
  const a = Math.abs(v), s = a >= 1e5 || a < 1e-3 ? v.toExponential(1).replace("e+", "e") : String(Number(v.toPrecision(a >= 1 ? 4 : 3)));
  return s.replaceAll("-", "−").replace(/^(−?)0\./, "$1.");
};
const tint = (v, most, ink) => `background:rgba(var(--${ink}),${most && Number.isFinite(v) ? (Math.abs(v) < 5e-13 ? 0 : .08 + .37 * Math.abs(v) / most).toFixed(3) : 0})`;
const MANY = 64, MOST = 256;
const mean = x => x.data.reduce((a, b) => a + b, 0) / x.data.length, std = x => Math.sqrt(mean(I.array(x.shape, x.data.map(v => (v - mean(x)) ** 2))));
const hidden = s => `<span class="vh">${s}</span>`;
const slice = (shape, n) => { const lead = shape.slice(0, -2), st = I.strides(lead); return `[${lead.map((_, k) => Math.floor(n / st[k]) % lead[k]).join(", ")}]`; };
const label = new Map(data.labels), byName = new Map(steps.map(s => [s.name, s.label]));
const labelOf = i => label.has(i) ? M(label.get(i)) : esc(nameOf.get(i) ?? "");
const gradientOf = i => { const s = steps.findLast(s => s.of === i); return s ? M(s.label) : "∂"; };
// caption: HTML; name: what a screen reader says; id: node of the values; edit: id of a leaf; result: its cells can be visited
const table = (x, caption, name, ink = "vt", { edit = null, off = null, blank = false, id = null, result = false } = {}) => {
  const foot = `<figcaption>${caption} <span class="shape">${I.text(x.shape)}</span></figcaption>`;
  if (x.data.length > MOST) return `<figure><table aria-label="${esc(name)}"><tbody><tr><td>${number(mean(x))} ± ${number(std(x))}</td></tr></tbody></table>${foot}</figure>`;
  const columns = x.shape.length ? x.shape.at(-1) : 1, rows = Math.max(1, x.data.length / Math.max(columns, 1)), most = largest(x), block = x.shape.length > 2 ? x.shape.at(-2) : rows;
  let out = "";
  for (let start = 0; start < rows; start += block || 1) {
    if (x.shape.length > 2 && rows > block) out += `<p class="slice">${slice(x.shape, start / block)}</p>`;
    out += `<table aria-label="${esc(name)}">${x.shape.length ? `<thead><tr><th></th>${[...Array(columns).keys()].map(c => `<th scope="col">${hidden(`${t("column")} ${c}`)}</th>`).join("")}</tr></thead>` : ""}<tbody>`;
    for (let r = start; r < Math.min(rows, start + block); r++) {
      out += `<tr>${x.shape.length ? `<th scope="row">${hidden(`${t("row")} ${r - start}`)}</th>` : ""}`;
      for (let c = 0; c < columns; c++) {
        const k = r * columns + c, v = x.data[k];
        out += `<td data-k="${k}"${off?.has(k) ? ' class="off"' : ""}${result ? ` tabindex="${k ? -1 : 0}"` : ""} style="${blank ? "" : tint(v, most, ink)}">${blank ? "" : edit !== null ? `<input data-leaf="${edit}" data-k="${k}" inputmode="decimal" autocomplete="off" aria-label="${esc(name)} ${r}, ${c}" value="${plain(v)}">` : number(v)}</td>`;
      }
      out += "</tr>";
    }
    out += "</tbody></table>";
  }
  return `<figure${id === null ? "" : ` data-id="${id}"`}${result ? " data-result" : ""}>${out}${foot}</figure>`;
};
const plain = v => String(Number(v.toPrecision(6))).replace("-", "−");
const sign = s => `<span class="sign" aria-hidden="true">${s}</span>`;
const shown = (i, more) => table(values[i], labelOf(i), nameOf.get(i) ?? "", "vt", { id: i, ...more });
