// Batch norm in three steps: sums of parts of each channel, about one of its values (`..._sums`); statistics and
// coefficients from the sums of all parts (`settle`, `resolve`); then the output (`..._scale`, `..._combine`).
#include "../../kernels/common.cuh"

// The threads of block (c, s) call f(offset) for the s-th of gridDim.y parts of channel c of (n, channels, run).
template <typename F> __device__ inline void over_runs(Size n, Size channels, Size run, F f) {
    Size packs = run / W, total = n * packs, each = (total + gridDim.y - 1) / gridDim.y;
    Size start = blockIdx.y * each, stop = min(start + each, total), q = start + threadIdx.x;
    Size image = q / packs, i = q % packs, images = blockDim.x / packs, rest = blockDim.x % packs;
    #pragma unroll 4
    for (; q < stop; q += blockDim.x) {
        f((image * channels + blockIdx.x) * run + i * W);
        image += images;
        i += rest;
        if (i >= packs) { i -= packs; ++image; }
    }
}

template <bool BACK> __device__ inline void sum_runs(
    const T* x, const T* dy, const double* mean, Size n, Size channels, Size run, double* part) {
    Size c = blockIdx.x;
    bool begun = BACK;
    Moments sums(BACK ? A(mean[c]) : A(0));
    over_runs(n, channels, run, [&](Size at) {
        Values v = load(x + at), g;
        if (BACK) g = load(dy + at);
        if (!begun) { sums.shift = near_zero_or(v.v[0]); begun = true; }
        #pragma unroll
        for (int j = 0; j < W; ++j)
            if (BACK) sums.add(A(v.v[j]), A(g.v[j])); else sums.add(A(v.v[j]));
    });
    double origin = BACK ? 0 : double(near_zero_or(x[c * run]));
    double s = BACK ? sums.s : sums.first(origin), t = BACK ? sums.t : sums.second(origin);
    for (int o = 16; o; o >>= 1) {
        s += __shfl_down_sync(~0u, s, o);
        t += __shfl_down_sync(~0u, t, o);
    }
    __shared__ double warps[2][8];
    if (threadIdx.x % 32 == 0) { warps[0][threadIdx.x / 32] = s; warps[1][threadIdx.x / 32] = t; }
    __syncthreads();
    if (threadIdx.x < 2) {
        double all = 0;
        for (int w = 0; w < 8; ++w) all += warps[threadIdx.x][w];
        part[(blockIdx.y * 2 + threadIdx.x) * channels + c] = all;
    }
}

extern "C" __global__ void __launch_bounds__(256) runs_forward_sums(
    const T* __restrict__ x, Size n, Size channels, Size run, double* part) {
    sum_runs<false>(x, nullptr, nullptr, n, channels, run, part);
}

extern "C" __global__ void __launch_bounds__(256) runs_backward_sums(
    const T* __restrict__ x, const T* __restrict__ dy, const double* mean,
    Size n, Size channels, Size run, double* part) {
    sum_runs<true>(x, dy, mean, n, channels, run, part);
}

extern "C" __global__ void __launch_bounds__(256) runs_scale(
    const T* __restrict__ x, const A* __restrict__ p, T* __restrict__ y, Size n, Size channels, Size run) {
    Size c = blockIdx.x;
    A a = p[c], shift = p[channels + c], b = p[2 * channels + c];
    over_runs(n, channels, run, [&](Size at) {
        Values v = load(x + at);
        #pragma unroll
        for (int j = 0; j < W; ++j) v.v[j] = T(a * (A(v.v[j]) - shift) + b);
        store(y + at, v);
    });
}

extern "C" __global__ void __launch_bounds__(256) runs_combine(
    const T* __restrict__ x, const T* __restrict__ dy, const A* __restrict__ p, T* __restrict__ dx,
    Size n, Size channels, Size run) {
    Size k = blockIdx.x;
    A a = p[k], shift = p[channels + k], b = p[2 * channels + k], c = p[3 * channels + k];
    over_runs(n, channels, run, [&](Size at) {
        Values v = load(x + at), g = load(dy + at);
        #pragma unroll
        for (int j = 0; j < W; ++j) v.v[j] = T(a * (A(g.v[j]) + (b * (A(v.v[j]) - shift) + c)));
        store(dx + at, v);
    });
}

// Blocks of 32 × 8 threads share (rows, columns): each thread has W columns, and every eighth of the block's rows.
template <typename F> __device__ inline void over_rows(Size rows, Size columns, Size column, F f) {
    Size each = (rows + gridDim.y - 1) / gridDim.y, stop = min((blockIdx.y + 1) * each, rows);
    if (column < columns) {
        #pragma unroll 4
        for (Size i = blockIdx.y * each + threadIdx.y; i < stop; i += 8) f(i * columns + column);
    }
}

template <bool BACK> __device__ inline void sum_rows(
    const T* x, const T* dy, const double* mean, Size rows, Size columns, Size channels, Size repeats, double* part) {
    Size first = blockIdx.x * 32 * W, column = first + threadIdx.x * W;
    bool begun = BACK;
    A s[W], t[W], shift[W];
    Size count = 0;
    #pragma unroll
    for (int j = 0; j < W; ++j) {
        s[j] = t[j] = 0;
        shift[j] = BACK && column < columns ? A(mean[(column + j) / repeats % channels]) : A(0);
    }
    over_rows(rows, columns, column, [&](Size at) {
        Values v = load(x + at), g;
        if (BACK) g = load(dy + at);
        #pragma unroll
        for (int j = 0; j < W; ++j) {
            if (!begun) shift[j] = near_zero_or(v.v[j]);
            A d = A(v.v[j]) - shift[j], e = BACK ? A(g.v[j]) : d;
            s[j] += e;
            t[j] += e * d;
        }
        begun = true;
        ++count;
    });
    __shared__ double found[2][8][32 * W];
    #pragma unroll
    for (int j = 0; j < W; ++j) {
        int k = threadIdx.x * W + j;
        found[0][threadIdx.y][k] = s[j];
        found[1][threadIdx.y][k] = t[j];
        if (!BACK && column < columns) {
            double e = double(shift[j]) - double(near_zero_or(x[(column + j) / repeats % channels * repeats]));
            found[0][threadIdx.y][k] = s[j] + count * e;
            found[1][threadIdx.y][k] = t[j] + e * (2.0 * s[j] + count * e);
        }
    }
    __syncthreads();
    for (int i = threadIdx.y * 32 + threadIdx.x; i < 2 * 32 * W; i += 256) {
        int which = i / (32 * W), k = i % (32 * W);
        double all = 0;
        for (int w = 0; w < 8; ++w) all += found[which][w][k];
        if (first + k < columns) part[(blockIdx.y * 2 + which) * columns + first + k] = all;
    }
}

extern "C" __global__ void __launch_bounds__(256) rows_forward_sums(
    const T* __restrict__ x, Size rows, Size columns, Size channels, Size repeats, double* part) {
    sum_rows<false>(x, nullptr, nullptr, rows, columns, channels, repeats, part);
}

extern "C" __global__ void __launch_bounds__(256) rows_backward_sums(
    const T* __restrict__ x, const T* __restrict__ dy, const double* mean,
    Size rows, Size columns, Size channels, Size repeats, double* part) {
    sum_rows<true>(x, dy, mean, rows, columns, channels, repeats, part);
}

extern "C" __global__ void __launch_bounds__(256) rows_scale(
    const T* __restrict__ x, const A* __restrict__ p, T* __restrict__ y,
    Size rows, Size columns, Size channels, Size repeats) {
    Size column = (blockIdx.x * 32 + threadIdx.x) * Size(W);
    A a[W], shift[W], b[W];
    #pragma unroll
    for (int j = 0; j < W; ++j) {
        Size c = (column + j) / repeats % channels;
        a[j] = p[c]; shift[j] = p[channels + c]; b[j] = p[2 * channels + c];
    }
    over_rows(rows, columns, column, [&](Size at) {
        Values v = load(x + at);
        #pragma unroll
        for (int j = 0; j < W; ++j) v.v[j] = T(a[j] * (A(v.v[j]) - shift[j]) + b[j]);
        store(y + at, v);
    });
}

extern "C" __global__ void __launch_bounds__(256) rows_combine(
    const T* __restrict__ x, const T* __restrict__ dy, const A* __restrict__ p, T* __restrict__ dx,
    Size rows, Size columns, Size channels, Size repeats) {
    Size column = (blockIdx.x * 32 + threadIdx.x) * Size(W);
    A a[W], shift[W], b[W], c[W];
    #pragma unroll
    for (int j = 0; j < W; ++j) {
        Size k = (column + j) / repeats % channels;
        a[j] = p[k]; shift[j] = p[channels + k]; b[j] = p[2 * channels + k]; c[j] = p[3 * channels + k];
    }
    over_rows(rows, columns, column, [&](Size at) {
        Values v = load(x + at), g = load(dy + at);
        #pragma unroll
        for (int j = 0; j < W; ++j) v.v[j] = T(a[j] * (A(g.v[j]) + (b[j] * (A(v.v[j]) - shift[j]) + c[j])));
        store(dx + at, v);
    });
}

// Blocks of 32 × 8 threads add up the parts of 32 channels, over all columns of each. Only threads with y = 0 get sums.
__device__ inline bool gather(
    const double* part, Size parts, Size folds, Size channels, Size repeats, double& s, double& t) {
    Size c = blockIdx.x * 32 + threadIdx.x, columns = folds * channels * repeats;
    s = t = 0;
    if (c < channels) {
        #pragma unroll 4
        for (Size e = threadIdx.y; e < parts * folds * repeats; e += 8) {
            Size column = (e / repeats % folds * channels + c) * repeats + e % repeats, at = e / (repeats * folds) * 2;
            s += part[at * columns + column];
            t += part[(at + 1) * columns + column];
        }
    }
    __shared__ double found[2][8][32];
    found[0][threadIdx.y][threadIdx.x] = s;
    found[1][threadIdx.y][threadIdx.x] = t;
    __syncthreads();
    s = t = 0;
    for (int w = 0; w < 8; ++w) { s += found[0][w][threadIdx.x]; t += found[1][w][threadIdx.x]; }
    return threadIdx.y == 0 && c < channels;
}

extern "C" __global__ void settle(
    const double* part, Size parts, Size folds, Size channels, Size repeats, const T* x, Size run, double n,
    const A* gamma, const A* beta, double eps, double* mean, double* rstd, A* p) {
    double s, t;
    Size c = blockIdx.x * 32 + threadIdx.x;
    if (!gather(part, parts, folds, channels, repeats, s, t)) return;
    double m, r;
    statistics(s, t, double(near_zero_or(x[c * run])), n, eps, m, r);
    double a = (gamma ? double(gamma[c]) : 1.0) * r;
    A shift = A(m);
    mean[c] = m;
    rstd[c] = r;
    p[c] = A(a);
    p[channels + c] = shift;
    p[2 * channels + c] = A((beta ? double(beta[c]) : 0.0) - (m - shift) * a);
}

extern "C" __global__ void resolve(
    const double* part, Size parts, Size folds, Size channels, Size repeats, double n,
    const A* gamma, const double* mean, const double* rstd, A* dgamma, A* dbeta, A* p) {
    double s, t;
    Size c = blockIdx.x * 32 + threadIdx.x;
    if (!gather(part, parts, folds, channels, repeats, s, t)) return;
    double r = rstd[c];
    A shift = A(mean[c]);
    double rest = mean[c] - shift, product = r == 0 ? 0 : (t - rest * s) * r, b = -r * product / n;
    dgamma[c] = A(product);
    dbeta[c] = A(s);
    p[c] = A((gamma ? double(gamma[c]) : 1.0) * r);
    p[channels + c] = shift;
    p[2 * channels + c] = A(b);
    p[3 * channels + c] = A(-s / n - b * rest);
}
