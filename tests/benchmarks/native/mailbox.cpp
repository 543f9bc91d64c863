// What native code takes for the same: a copy into shared memory, the ancestor's two copies, and its nested FlatBuffers.
// Every function repeats its work and returns the nanoseconds that one took.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <vector>

#include "nested_generated.h"

using nested::schema::BoundingBox;
using nested::schema::CreateDetection;
using nested::schema::CreateDetectionResult;
using nested::schema::Detection;
using nested::schema::GetDetectionResult;
using nested::schema::TraceContext;

namespace {
using Clock = std::chrono::steady_clock;

template <typename Work>
double nanoseconds(int times, Work work) {
  const auto began = Clock::now();
  for (int i = 0; i < times; ++i) work(i);
  return std::chrono::duration<double, std::nano>(Clock::now() - began).count() / times;
}

struct Row {
  float x1, y1, x2, y2, score;
  std::uint16_t class_id;
};

void publish(std::uint8_t *cell, const std::uint8_t *data, std::size_t size) {
  static std::uint64_t sequence = 0;
  std::memcpy(cell + 8, data, size);
  reinterpret_cast<std::atomic<std::uint64_t> *>(cell)->store(++sequence, std::memory_order_release);
}

void build(flatbuffers::FlatBufferBuilder &builder, const std::vector<Row> &rows,
           std::vector<flatbuffers::Offset<Detection>> &offsets) {
  static const TraceContext trace;
  builder.Clear();
  offsets.clear();
  for (const auto &row : rows) {
    const BoundingBox box(row.x1, row.y1, row.x2, row.y2);
    offsets.push_back(CreateDetection(builder, &box, row.score, row.class_id));
  }
  const auto vector = builder.CreateVector(offsets);
  builder.Finish(CreateDetectionResult(builder, 1, 2, 3, vector, &trace));
}

float total(const std::uint8_t *cell) {
  const auto result = GetDetectionResult(cell + 8);
  float sum = static_cast<float>(result->timestamp_ns() + result->frame_number());
  for (const auto row : *result->detections()) {
    const auto box = row->box();
    sum += box->x1() + box->y1() + box->x2() + box->y2() + row->confidence() + row->class_id();
  }
  return sum;
}

volatile float sink;
}  // namespace

extern "C" {
double copy_once(std::uint8_t *const *targets, int count, const std::uint8_t *data, std::size_t size, int times) {
  return nanoseconds(times, [&](int i) { std::memcpy(targets[i % count], data, size); });
}

// The ancestor: pixels into its builder's buffer, then that into the one cell.
double copy_twice(std::uint8_t *cell, std::uint8_t *between, const std::uint8_t *data, std::size_t size, int times) {
  return nanoseconds(times, [&](int) {
    std::memcpy(between, data, size);
    publish(cell, between, size);
  });
}

double write_nested(std::uint8_t *cell, int count, int times) {
  const std::vector<Row> rows(count, Row{1, 2, 3, 4, .5f, 1});
  std::vector<flatbuffers::Offset<Detection>> offsets;
  flatbuffers::FlatBufferBuilder builder(1 << 16);
  return nanoseconds(times, [&](int) {
    build(builder, rows, offsets);
    publish(cell, builder.GetBufferPointer(), builder.GetSize());
  });
}

double read_nested(const std::uint8_t *cell, int times) {
  return nanoseconds(times, [&](int) { sink = total(cell); });
}
}
