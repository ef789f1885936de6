// Layer norm: a block has blockDim.y rows, with blockDim.x threads each. A row's second read finds it in the cache.
#include "../../kernels/common.cuh"

// Add up the sums of the threads of a row; each thread gets the totals.
__device__ inline void over_row(double& s, double& t) {
    for (int o = min(blockDim.x, 32) / 2; o; o >>= 1) {
        s += __shfl_xor_sync(~0u, s, o);
        t += __shfl_xor_sync(~0u, t, o);
    }
    if (blockDim.x > 32) {
        __shared__ double found[2][32];
        int warps = blockDim.x / 32, first = threadIdx.y * warps;
        __syncthreads();
        if (threadIdx.x % 32 == 0) {
            found[0][first + threadIdx.x / 32] = s;
            found[1][first + threadIdx.x / 32] = t;
        }
        __syncthreads();
        s = t = 0;
        for (int w = first; w < first + warps; ++w) { s += found[0][w]; t += found[1][w]; }
    }
}

__device__ inline Wide wide(const A* p, Size at, A otherwise) {
    if (p) return *reinterpret_cast<const Wide*>(p + at);
    Wide same;
    for (int j = 0; j < W; ++j) same.v[j] = otherwise;
    return same;
}

extern "C" __global__ void __launch_bounds__(512) forward(
    const T* __restrict__ x, const A* __restrict__ gamma, const A* __restrict__ beta, double eps,
    T* __restrict__ y, double* mean, double* rstd, Size rows, Size length) {
    Size begin = threadIdx.x * W, step = blockDim.x * W;
    for (Size top = blockIdx.x * Size(blockDim.y); top < rows; top += gridDim.x * Size(blockDim.y)) {
        Size row = top + threadIdx.y, stop = row < rows ? length : 0;
        const T* xs = x + row * length;
        Moments sums(begin < stop ? near_zero_or(xs[begin]) : A(0));
        #pragma unroll 4
        for (Size i = begin; i < stop; i += step) {
            Values v = load(xs + i);
            #pragma unroll
            for (int j = 0; j < W; ++j) sums.add(A(v.v[j]));
        }
        double origin = stop ? double(near_zero_or(xs[0])) : 0.0, s = sums.first(origin), t = sums.second(origin), m, r;
        over_row(s, t);
        statistics(s, t, origin, length, eps, m, r);
        A shift = A(m), a = A(r), b = A((shift - m) * r);
        if (stop && threadIdx.x == 0) { mean[row] = m; rstd[row] = r; }
        #pragma unroll 4
        for (Size i = begin; i < stop; i += step) {
            Values v = load(xs + i);
            Wide g = wide(gamma, i, 1), h = wide(beta, i, 0);
            #pragma unroll
            for (int j = 0; j < W; ++j) v.v[j] = T(((A(v.v[j]) - shift) * a + b) * g.v[j] + h.v[j]);
            store(y + row * length + i, v);
        }
    }
}

// A thread adds up dγ and dβ of its own columns: in shared memory if they fit, else in `part`.
extern "C" __global__ void __launch_bounds__(512) backward(
    const T* __restrict__ x, const T* __restrict__ dy, const A* __restrict__ gamma,
    const double* __restrict__ mean, const double* __restrict__ rstd, T* __restrict__ dx, A* part,
    Size rows, Size length, Size in_shared) {
    extern __shared__ __align__(16) unsigned char room[];
    Size begin = threadIdx.x * W, step = blockDim.x * W;
    A* found = part + (blockIdx.x * Size(blockDim.y) + threadIdx.y) * 2 * length;
    A* total = in_shared ? reinterpret_cast<A*>(room) + threadIdx.y * 2 * length : found;
    for (Size i = begin; i < length; i += step)
        for (int j = 0; j < W; ++j) total[i + j] = total[length + i + j] = 0;
    for (Size top = blockIdx.x * Size(blockDim.y); top < rows; top += gridDim.x * Size(blockDim.y)) {
        Size row = top + threadIdx.y, stop = row < rows ? length : 0;
        const T *xs = x + row * length, *dys = dy + row * length;
        double m = stop ? mean[row] : 0.0, r = stop ? rstd[row] : 0.0;
        Moments sums{A(m)};
        #pragma unroll 4
        for (Size i = begin; i < stop; i += step) {
            Values v = load(xs + i), u = load(dys + i);
            Wide g = wide(gamma, i, 1);
            #pragma unroll
            for (int j = 0; j < W; ++j) sums.add(A(v.v[j]), A(u.v[j]) * g.v[j]);
        }
        double s = sums.s, t = sums.t;
        over_row(s, t);
        double rest = m - A(m), along = r == 0 ? 0 : -r * r * r * (t - rest * s) / length;
        A shift = A(m), a = A(r), b = A(along), c = A(-r * s / length - along * rest), d = A(-rest * r);
        #pragma unroll 2
        for (Size i = begin; i < stop; i += step) {
            Values v = load(xs + i), u = load(dys + i);
            Wide g = wide(gamma, i, 1);
            Wide p = *reinterpret_cast<Wide*>(total + i), q = *reinterpret_cast<Wide*>(total + length + i);
            #pragma unroll
            for (int j = 0; j < W; ++j) {
                A h = A(v.v[j]) - shift, w = A(u.v[j]);
                p.v[j] += w * (h * a + d);
                q.v[j] += w;
                v.v[j] = T(w * g.v[j] * a + (h * b + c));
            }
            *reinterpret_cast<Wide*>(total + i) = p;
            *reinterpret_cast<Wide*>(total + length + i) = q;
            store(dx + row * length + i, v);
        }
    }
    if (in_shared)
        for (Size i = begin; i < length; i += step)
            for (int j = 0; j < W; ++j) {
                found[i + j] = total[i + j];
                found[length + i + j] = total[length + i + j];
            }
}

// Blocks of 32 × 8 threads add up the parts of 32 columns.
extern "C" __global__ void gather(const A* __restrict__ part, Size parts, Size columns, A* out) {
    Size column = blockIdx.x * 32 + threadIdx.x;
    double s = 0;
    if (column < columns) {
        #pragma unroll 8
        for (Size i = threadIdx.y; i < parts; i += 8) s += part[i * columns + column];
    }
    __shared__ double found[8][32];
    found[threadIdx.y][threadIdx.x] = s;
    __syncthreads();
    if (threadIdx.y == 0 && column < columns) {
        s = 0;
        for (int w = 0; w < 8; ++w) s += found[w][threadIdx.x];
        out[column] = A(s);
    }
}
