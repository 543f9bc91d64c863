// What native code takes for RF-DETR's arithmetic, written the plain way: one fused loop in, one pass over the logits out.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {
constexpr float MEAN[] = {.485f, .456f, .406f}, STD[] = {.229f, .224f, .225f};
constexpr int TOP_K = 300;

struct Tap {
  int low, high;  // offsets in bytes
  float share;    // of the second
};

// Where each of `side` new pixels lies between the old ones: half-pixel centres, no antialiasing.
void find_taps(std::vector<Tap> &taps, int length, int side, int step) {
  taps.resize(side);
  for (int i = 0; i < side; ++i) {
    const float at = std::clamp((i + .5f) * length / side - .5f, 0.f, length - 1.f);
    const int low = static_cast<int>(at);
    taps[i] = {low * step, std::min(low + 1, length - 1) * step, at - low};
  }
}

struct Buffers {
  std::vector<Tap> across, down;
};

void prepare(const std::uint8_t *rgb, int width, int height, float *tensor, int side, Buffers &buffers) {
  find_taps(buffers.across, width, side, 3);
  find_taps(buffers.down, height, side, 3 * width);
  float scale[3], offset[3];
  for (int c = 0; c < 3; ++c) {
    scale[c] = 1 / (255 * STD[c]);
    offset[c] = MEAN[c] / STD[c];
  }
  const Tap *across = buffers.across.data();
  float *__restrict red = tensor, *__restrict green = red + side * side, *__restrict blue = green + side * side;
  for (int y = 0; y < side; ++y) {
    const Tap &down = buffers.down[y];
    const std::uint8_t *upper = rgb + down.low, *lower = rgb + down.high;
    for (int x = 0; x < side; ++x) {
      const Tap tap = across[x];
      float pixel[3];
      for (int c = 0; c < 3; ++c) {
        const float top = upper[tap.low + c] + (upper[tap.high + c] - upper[tap.low + c]) * tap.share;
        const float bottom = lower[tap.low + c] + (lower[tap.high + c] - lower[tap.low + c]) * tap.share;
        pixel[c] = (top + (bottom - top) * down.share) * scale[c] - offset[c];
      }
      *red++ = pixel[0];
      *green++ = pixel[1];
      *blue++ = pixel[2];
    }
  }
}

struct Hit {
  float logit;
  int index;
};

struct Row {
  float x1, y1, x2, y2, score;
  std::int32_t class_id;
};
static_assert(sizeof(Row) == 24);

void scan(const float *labels, int begin, int end, float lowest, std::vector<Hit> &hits) {
  // Unrolled, or whether a logit takes one cycle or two is an accident of where the compiler puts the loop.
#pragma GCC unroll 4
  for (int i = begin; i < end; ++i)
    if (labels[i] >= lowest) hits.push_back({labels[i], i});
}

// Asks first, a query at a time, whether there is anything: that loop the compiler can do with vectors.
void scan_by_query(const float *labels, int queries, int columns, float lowest, std::vector<Hit> &hits) {
  for (int query = 0; query < queries; ++query) {
    const float *row = labels + query * columns;
    int any = 0;
    for (int c = 0; c < columns; ++c) any |= row[c] >= lowest;
    if (any) scan(labels, query * columns, (query + 1) * columns, lowest, hits);
  }
}

int postprocess(const float *dets, const float *labels, int queries, int columns, float width, float height,
                float threshold, bool by_query, Row *rows, std::vector<Hit> &hits) {
  const float lowest = std::log(threshold / (1 - threshold)) - 1e-3f;
  hits.clear();
  if (by_query)
    scan_by_query(labels, queries, columns, lowest, hits);
  else
    scan(labels, 0, queries * columns, lowest, hits);
  std::stable_sort(hits.begin(), hits.end(), [](const Hit &a, const Hit &b) { return a.logit > b.logit; });
  int count = 0;
  for (const auto &hit : hits) {
    const float score = static_cast<float>(1 / (1 + std::exp(-static_cast<double>(hit.logit))));
    if (count == TOP_K || score < threshold) break;
    const float *box = dets + hit.index / columns * 4;
    const float w = box[2] / 2, h = box[3] / 2;
    const auto across = [&](float x) { return std::clamp(x, 0.f, 1.f) * width; };
    const auto down = [&](float y) { return std::clamp(y, 0.f, 1.f) * height; };
    rows[count++] = {across(box[0] - w), down(box[1] - h), across(box[0] + w), down(box[1] + h),
                     score, hit.index % columns};
  }
  return count;
}
}  // namespace

extern "C" {
void prepare_fused(const std::uint8_t *rgb, int width, int height, float *tensor, int side) {
  static Buffers buffers;
  prepare(rgb, width, height, tensor, side, buffers);
}

// So many times: one takes less than it takes Python to call it.
void postprocess_rows(const float *dets, const float *labels, int queries, int columns, float width, float height,
                      float threshold, int by_query, Row *rows, int *count, int times) {
  static std::vector<Hit> hits;
  for (int i = 0; i < times; ++i)
    *count = postprocess(dets, labels, queries, columns, width, height, threshold, by_query, rows, hits);
}
}
