"use strict";
// Linear algebra and Fourier transforms for the interpreter; a page has them if its program does.
(I => {
  const { array, filled, size, strides, places, common } = I, matmul = I.OPS.matmul;
  // Square matrices and others, row by row; `each` applies f(flat, n, m) to every matrix of the last two axes.
  const each = (x, f, shape) => {
    const [n, m] = x.shape.slice(-2), out = [];
    for (let g = 0; g < size(x.shape.slice(0, -2)); g++) out.push(...f(x.data.subarray(g * n * m, (g + 1) * n * m), n, m));
    return array([...x.shape.slice(0, -2), ...shape(n, m)], Float64Array.from(out));
  };
  const gauss = (a, b, n, m) => {  // a x = b by elimination, the largest pivot first; returns x, and det a as its sign and its logarithm
    a = Float64Array.from(a); b = Float64Array.from(b);
    let sign = 1, log = 0;
    const swap = (v, w, i, j) => { for (let k = 0; k < w; k++) [v[i * w + k], v[j * w + k]] = [v[j * w + k], v[i * w + k]]; };
    for (let c = 0; c < n; c++) {
      let best = c;
      for (let r = c + 1; r < n; r++) if (Math.abs(a[r * n + c]) > Math.abs(a[best * n + c])) best = r;
      if (best !== c) { swap(a, n, best, c); swap(b, m, best, c); sign = -sign; }
      const pivot = a[c * n + c];
      sign *= Math.sign(pivot); log += Math.log(Math.abs(pivot));
      for (let r = 0; r < n; r++) if (r !== c) {
        const f = a[r * n + c] / pivot;
        for (let k = c; k < n; k++) a[r * n + k] -= f * a[c * n + k];
        for (let k = 0; k < m; k++) b[r * m + k] -= f * b[c * m + k];
      }
      for (let k = 0; k < m; k++) b[c * m + k] /= pivot;
      for (let k = n - 1; k >= c; k--) a[c * n + k] /= pivot;
    }
    return { x: b, sign, log };
  };
  const identity = n => Float64Array.from({ length: n * n }, (_, k) => k % (n + 1) ? 0 : 1);
  const turn = (a, n, m) => Float64Array.from({ length: n * m }, (_, k) => a[(k % n) * m + Math.floor(k / n)]);
  const times = (a, b, n, k, m) => matmul(null, array([n, k], a), array([k, m], b)).data;
  const inverse = (a, n) => gauss(a, identity(n), n, n).x;
  const determinant = (a, n) => { const { sign, log } = gauss(a, [], n, 0); return [sign * Math.exp(log)]; };
  const solve = (p, a, b) => {
    const n = a.shape.at(-1), vector = b.shape.length === 1, tail = vector ? [n, 1] : b.shape.slice(-2), lead = common(a.shape.slice(0, -2), vector ? [] : b.shape.slice(0, -2));
    const pa = places(a.shape.slice(0, -2), lead), pb = places(vector ? [] : b.shape.slice(0, -2), lead), m = tail[1], out = [];
    for (let g = 0; g < pa.length; g++) out.push(...gauss(a.data.subarray(pa[g] * n * n, (pa[g] + 1) * n * n), b.data.subarray(pb[g] * n * m, (pb[g] + 1) * n * m), n, m).x);
    return array([...lead, ...(vector ? [n] : tail)], Float64Array.from(out));
  };
  const cholesky = (a, n) => {
    const out = new Float64Array(n * n);
    for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) {
      let s = (a[i * n + j] + a[j * n + i]) / 2;
      for (let k = 0; k < j; k++) s -= out[i * n + k] * out[j * n + k];
      out[i * n + j] = i === j ? Math.sqrt(s) : s / out[j * n + j];
    }
    return out;
  };
  const qr = (a, n, m) => {  // Householder's mirrors, as LAPACK has them; Q, and below it the transpose of R
    const r = Float64Array.from(a), q = identity(n);
    for (let c = 0; c < Math.min(m, n - 1); c++) {
      const v = new Float64Array(n);
      let length = 0, square = 0;
      for (let i = c; i < n; i++) length += r[i * m + c] ** 2;
      for (let i = c; i < n; i++) v[i] = r[i * m + c];
      v[c] += (v[c] < 0 ? -1 : 1) * Math.sqrt(length);
      for (const x of v) square += x * x;
      if (!square) continue;
      for (let j = 0; j < m; j++) { let s = 0; for (let i = c; i < n; i++) s += v[i] * r[i * m + j]; for (let i = c; i < n; i++) r[i * m + j] -= 2 * s / square * v[i]; }
      for (let j = 0; j < n; j++) { let s = 0; for (let i = c; i < n; i++) s += q[j * n + i] * v[i]; for (let i = c; i < n; i++) q[j * n + i] -= 2 * s / square * v[i]; }
    }
    const out = [];
    for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) out.push(q[i * n + j]);
    for (let i = 0; i < m; i++) for (let j = 0; j < m; j++) out.push(j <= i ? r[j * m + i] : 0);
    return out;
  };
  const pseudo = (a, n, m) => {  // of full rank
    const t = turn(a, n, m);
    return n >= m ? times(inverse(times(t, a, m, n, m), m), t, m, m, n) : times(t, inverse(times(a, t, n, m, n), n), m, n, n);
  };
  const fourier = (p, x, first, last) => {  // first, last: whether what goes in, and what comes out, is a pair
    const whole = first && !last ? p.shape : first ? x.shape.slice(0, -1) : x.shape, n = size(whole), step = strides(whole);
    let re = new Float64Array(n), im = new Float64Array(n);
    const given = first ? x.shape.slice(0, -1) : x.shape, half = first && !last ? p.axes[0] : -1;
    for (let i = 0; i < n; i++) {
      const at = whole.map((m, a) => Math.floor(i / step[a]) % m), k = half < 0 ? 0 : at[half], mirrored = half >= 0 && k >= given[half];
      if (mirrored) at[half] = whole[half] - k;
      const place = strides(given).reduce((s, st, a) => s + st * at[a], 0), edge = half >= 0 && (k === 0 || 2 * k === whole[half]);
      re[i] = first ? x.data[2 * place] : x.data[place];
      im[i] = !first || edge ? 0 : (mirrored ? -1 : 1) * x.data[2 * place + 1];
    }
    for (const a of p.axes) {
      const [a_re, a_im] = [new Float64Array(n), new Float64Array(n)], m = whole[a];
      for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) {
        const k = Math.floor(i / step[a]) % m, from = i + (j - k) * step[a], angle = p.sign * 2 * Math.PI * ((j * k) % m) / m, [c, s] = [Math.cos(angle), Math.sin(angle)];
        a_re[i] += re[from] * c - im[from] * s; a_im[i] += re[from] * s + im[from] * c;
      }
      [re, im] = [a_re, a_im];
    }
    const out = [], kept = last ? p.shape.slice(0, -1) : p.shape;
    for (let i = 0; i < n; i++) {
      if (kept.some((m, a) => Math.floor(i / step[a]) % whole[a] >= m)) continue;
      out.push(re[i] * p.scale, ...(last ? [im[i] * p.scale] : []));
    }
    return array(p.shape, Float64Array.from(out));
  };
  const convolve = (p, x, y) => {
    const [short, long] = [x.data.length, y.data.length].sort((a, b) => a - b), out = filled([short + long - 1]);
    x.data.forEach((v, i) => y.data.forEach((w, j) => { out.data[i + j] += v * w; }));
    return p.valid ? array([long - short + 1], out.data.slice(short - 1, long)) : out;
  };

  const cross = (p, x, y) => {
    const lead = common(x.shape.slice(0, -1), y.shape.slice(0, -1)), px = places(x.shape.slice(0, -1), lead), py = places(y.shape.slice(0, -1), lead), out = filled([...lead, 3]);
    for (let g = 0; g < px.length; g++) for (let k = 0; k < 3; k++) {
      const [i, j] = [(k + 1) % 3, (k + 2) % 3];
      out.data[3 * g + k] = x.data[3 * px[g] + i] * y.data[3 * py[g] + j] - x.data[3 * px[g] + j] * y.data[3 * py[g] + i];
    }
    return out;
  };
  Object.assign(I.OPS, {
    solve, convolve, cross,
    inv: (p, a) => each(a, inverse, n => [n, n]), det: (p, a) => each(a, determinant, () => []), logabsdet: (p, a) => each(a, (m, n) => [gauss(m, [], n, 0).log], () => []),
    cofactor: (p, a) => each(a, (m, n) => turn(inverse(m, n), n, n).map(v => v * determinant(m, n)[0]), n => [n, n]),
    cholesky: (p, a) => each(a, cholesky, n => [n, n]), qr: (p, a) => each(a, qr, (n, m) => [n + m, m]), pinv: (p, a) => each(a, pseudo, (n, m) => [m, n]),
    fftn: (p, x) => fourier(p, x, true, true), ifftn: (p, x) => fourier(p, x, true, true), rfft: (p, x) => fourier(p, x, false, true), irfft: (p, x) => fourier(p, x, true, false),
  });
  for (const op of ["cross", "solve", "inv", "det", "logabsdet", "cofactor", "cholesky", "qr", "pinv", "fftn", "ifftn", "rfft", "irfft", "convolve"]) I.WHOLE.add(op);
})(typeof module !== "undefined" ? require("./interpreter.js") : Interpreter);
