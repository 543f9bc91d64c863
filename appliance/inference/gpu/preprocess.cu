// From a frame's bytes as the camera gave them to the model's input, in one launch: a thread makes one pixel of the input.
//
// Colours as OpenCV's cvtColor makes them: BT.601, limited range, 20 bits of fraction, two (YUYV) or two by two (NV12,
// I420) pixels share a colour. The picture is resized as OpenCV's INTER_LINEAR does it: half-pixel centres, no
// antialiasing, edges repeated. CUDA C++ that a C++ compiler takes too, which is how the tests run it without a card.

enum Format { YUYV = 1, NV12 = 2, I420 = 3, RGB24 = 4 };  // the numbers are PixelFormat's

struct Rgb {
    int r, g, b;
};

// Between which two pixels of a row or column a new one lies, and how far from the first to the second.
struct Place {
    int low, high;
    float along;
};

static __device__ __forceinline__ int byte_of(int value) { return value < 0 ? 0 : value > 255 ? 255 : value; }

static __device__ __forceinline__ Rgb rgb_of(int y, int u, int v) {
    const int half = 1 << 19;
    const int luma = (y > 16 ? y - 16 : 0) * 1220542;
    u -= 128;
    v -= 128;
    Rgb rgb;
    rgb.r = byte_of((luma + half + 1673527 * v) >> 20);
    rgb.g = byte_of((luma + half - 852492 * v - 409993 * u) >> 20);
    rgb.b = byte_of((luma + half + 2116026 * u) >> 20);
    return rgb;
}

static __device__ __forceinline__ Rgb pixel(const unsigned char* __restrict__ frame, int format, int width, int height,
                                            int x, int y) {
    const size_t at = (size_t)y * width + x;
    const size_t luma_bytes = (size_t)width * height;
    if (format == RGB24) {
        const unsigned char* here = frame + 3 * at;
        return Rgb{here[0], here[1], here[2]};
    }
    if (format == YUYV) {
        const unsigned char* pair = frame + 2 * ((size_t)y * width + (x & ~1));
        return rgb_of(frame[2 * at], pair[1], pair[3]);
    }
    if (format == NV12) {
        const unsigned char* colour = frame + luma_bytes + (size_t)(y / 2) * width + (x & ~1);
        return rgb_of(frame[at], colour[0], colour[1]);
    }
    const size_t colour = luma_bytes + (size_t)(y / 2) * (width / 2) + x / 2;
    return rgb_of(frame[at], frame[colour], frame[colour + luma_bytes / 4]);
}

// (index + 1/2) * length / side - 1/2, and not before the first pixel. In whole numbers: 2 * side * length must stay
// below 2^31.
static __device__ __forceinline__ Place place(int index, int length, int side) {
    const int at = (2 * index + 1) * length - side;
    const int steps = at < 0 ? 0 : at;
    Place here;
    here.low = steps / (2 * side);
    here.high = here.low + 1 < length ? here.low + 1 : here.low;
    here.along = (float)(steps - here.low * 2 * side) / (float)(2 * side);
    return here;
}

static __device__ __forceinline__ float between(float from, float to, float along) {
    return from + (to - from) * along;
}

static __device__ __forceinline__ float blended(int a, int b, int c, int d, float across, float down) {
    return between(between((float)a, (float)b, across), between((float)c, (float)d, across), down);
}

// `tensor` is float32 [3, side, side]; a channel's value is the grey step (0..255) times its scale, plus its offset.
extern "C" __global__ void preprocess(const unsigned char* __restrict__ frame, int format, int width, int height,
                                      float* __restrict__ tensor, int side, float scale_r, float scale_g,
                                      float scale_b, float offset_r, float offset_g, float offset_b) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= side || y >= side) return;
    const Place h = place(x, width, side);
    const Place v = place(y, height, side);
    const Rgb a = pixel(frame, format, width, height, h.low, v.low);
    const Rgb b = pixel(frame, format, width, height, h.high, v.low);
    const Rgb c = pixel(frame, format, width, height, h.low, v.high);
    const Rgb d = pixel(frame, format, width, height, h.high, v.high);
    const size_t plane = (size_t)side * side;
    float* out = tensor + (size_t)y * side + x;
    out[0] = blended(a.r, b.r, c.r, d.r, h.along, v.along) * scale_r + offset_r;
    out[plane] = blended(a.g, b.g, c.g, d.g, h.along, v.along) * scale_g + offset_g;
    out[2 * plane] = blended(a.b, b.b, c.b, d.b, h.along, v.along) * scale_b + offset_b;
}
