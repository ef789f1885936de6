// What the kernels of all families share: types, loads of several values, and moments of values.
//
// STORED is the type of x, COMPUTED that of sums, WIDTH the number of values that a thread loads at once: 16 bytes
// where all arrays lie on such boundaries, else one value. Without them this compiles for float32:
//     nvcc -cubin -arch=sm_80 -std=c++17 kernels.cu
// or  nvcc … -DSTORED=double -DCOMPUTED=double -DWIDTH=2 kernels.cu
#ifndef STORED
#define STORED float
#define COMPUTED float
#define WIDTH 4
#endif
typedef STORED T;
typedef COMPUTED A;
constexpr int W = WIDTH;

template <typename S, int N> struct alignas(N * sizeof(S) < 16 ? N * sizeof(S) : 16) Pack { S v[N]; };
typedef Pack<T, W> Values;
typedef Pack<A, W> Wide;
typedef long long Size;

__device__ inline Values load(const T* p) { return *reinterpret_cast<const Values*>(p); }
__device__ inline void store(T* p, const Values& v) { *reinterpret_cast<Values*>(p) = v; }

// The value that sums are made about, beginning with one of them: 0 where its differences could overflow a sum.
__device__ inline A near_zero_or(T x) {
    A a = A(x), limit = sizeof(A) == 4 ? A(1e32) : A(1e300);
    return a < limit && a > -limit ? a : A(0);
}

// Sums of d = x - shift and d² (or of dy and dy d) that one thread makes, over values of its own.
struct Moments {
    A s, t, shift;
    Size count;
    __device__ explicit Moments(A shift) : s(0), t(0), shift(shift), count(0) {}
    __device__ void add(A x) { A d = x - shift; s += d; t += d * d; ++count; }
    __device__ void add(A x, A dy) { s += dy; t += dy * (x - shift); }
    // What the sums would be with another shift.
    __device__ double first(double origin) const { return s + count * (shift - origin); }
    __device__ double second(double origin) const {
        double e = shift - origin;
        return t + e * (2.0 * s + count * e);
    }
};

// Mean and 1/sigma of n values from their moments about an origin. Values that are not finite make both NaN; finite
// ones whose variance overflows have the 1/sigma of an infinite variance, 0.
__device__ inline void statistics(double s, double t, double origin, double n, double eps, double& mean, double& rstd) {
    double m = s / n, v = t / n - m * m;
    v = v < 0 ? 0 : v;
    mean = origin + m;
    rstd = v - v == 0 ? 1 / sqrt(v + eps) : mean - mean == 0 ? 0 : nan("");
}
