// The kernel on this machine's processor: what CUDA gives a thread is set here, for one thread after the other.
//
// As a library: `run`, with the grid and the block before the kernel's own arguments. As a program (WITH_MAIN, built with
// the address sanitizer): every format in many sizes, in memory that ends where the frame does.

#include <cstddef>

struct Three {
    unsigned x, y, z;
};
static Three gridDim, blockDim, blockIdx, threadIdx;

#define __global__
#define __device__
#define __forceinline__ inline

#include "preprocess.cu"

extern "C" void run(int across, int down, int block_x, int block_y, const unsigned char* frame, int format, int width,
                    int height, float* tensor, int side, float scale_r, float scale_g, float scale_b, float offset_r,
                    float offset_g, float offset_b) {
    gridDim = {(unsigned)across, (unsigned)down, 1};
    blockDim = {(unsigned)block_x, (unsigned)block_y, 1};
    for (blockIdx.y = 0; blockIdx.y < gridDim.y; blockIdx.y++)
        for (blockIdx.x = 0; blockIdx.x < gridDim.x; blockIdx.x++)
            for (threadIdx.y = 0; threadIdx.y < blockDim.y; threadIdx.y++)
                for (threadIdx.x = 0; threadIdx.x < blockDim.x; threadIdx.x++)
                    preprocess(frame, format, width, height, tensor, side, scale_r, scale_g, scale_b, offset_r,
                               offset_g, offset_b);
}

#ifdef WITH_MAIN
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

static size_t bytes_of(int format, int width, int height) {
    const size_t pixels = (size_t)width * height;
    return format == RGB24 ? 3 * pixels : format == YUYV ? 2 * pixels : pixels * 3 / 2;
}

// With an argument, every frame ends so many bytes too early: the sanitizer must say so.
int main(int count, char** words) {
    const size_t lacking = count > 1 ? (size_t)atoi(words[1]) : 0;
    int cases = 0;
    for (int format = YUYV; format <= RGB24; format++)
        for (int width = 1; width <= 37; width += width < 8 ? 1 : 29)
            for (int height = 1; height <= 37; height += height < 8 ? 1 : 29)
                for (int side : {1, 2, 7, 32, 33, 70}) {
                    if (format != RGB24 && width % 2) continue;
                    if ((format == NV12 || format == I420) && height % 2) continue;
                    const size_t size = bytes_of(format, width, height) - lacking;
                    unsigned char* frame = (unsigned char*)malloc(size);
                    float* tensor = (float*)malloc(sizeof(float) * 3 * side * side);
                    memset(frame, cases, size);
                    run((side + 31) / 32, (side + 7) / 8, 32, 8, frame, format, width, height, tensor, side, 1, 1, 1,
                        0, 0, 0);
                    free(tensor);
                    free(frame);
                    cases++;
                }
    printf("%d\n", cases);
}
#endif
