// Reads one slot of a live channel file, or a heartbeat, with nothing but what flatc has made of the schemas, and prints
// every field as JSON: text and bytes in hex. Ends with 1 and a word on stderr where it refuses.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cinttypes>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "detections_generated.h"
#include "frame_generated.h"
#include "heartbeat_generated.h"
#include "state_generated.h"

using namespace porchlight::schema;

namespace {
[[noreturn]] void refuse(const char *why) {
  std::fprintf(stderr, "%s\n", why);
  std::exit(1);
}

// As appliance/ipc/channel_file.py has it.
struct Header {
  char magic[8];
  std::uint32_t version, slots;
  std::uint64_t generation, first, stride, size;
};
static_assert(sizeof(Header) == 48, "the header has no padding");

struct Bytes {
  const std::uint8_t *data;
  std::size_t size;
};

Bytes map(const char *path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat found;
  if (fd < 0 || fstat(fd, &found) != 0) refuse("cannot open");
  const auto size = static_cast<std::size_t>(found.st_size);
  void *memory = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) refuse("cannot map");
  close(fd);
  return {static_cast<const std::uint8_t *>(memory), size};
}

Bytes slot_of(Bytes file, std::uint64_t slot) {
  Header header;
  if (file.size < sizeof header) refuse("no header");
  std::memcpy(&header, file.data, sizeof header);
  if (std::memcmp(header.magic, "PORCHIPC", 8) != 0 || header.version != 1) refuse("another kind of file");
  if (slot >= header.slots || header.first + header.slots * header.stride > file.size || header.size > header.stride)
    refuse("no such slot");
  return {file.data + header.first + slot * header.stride, header.size};
}

// What is printed: `{"name": value, ...}` of values one after the other.
class Object {
 public:
  explicit Object(std::string &text) : text_(text) { text_ += '{'; }
  ~Object() { text_ += '}'; }

  void number(const char *name, std::uint64_t value) { put(name, std::to_string(value)); }
  void whole(const char *name, std::int64_t value) { put(name, std::to_string(value)); }
  void truth(const char *name, bool value) { put(name, value ? "true" : "false"); }
  void real(const char *name, double value) { put(name, number_of(value)); }
  void hex(const char *name, const std::uint8_t *data, std::size_t size) {
    static const char digits[] = "0123456789abcdef";
    std::string value = "\"";
    for (std::size_t i = 0; i < size; ++i) {
      value += digits[data[i] >> 4];
      value += digits[data[i] & 15];
    }
    put(name, value + '"');
  }
  void text(const char *name, const flatbuffers::String *value) {
    hex(name, value == nullptr ? nullptr : value->Data(), value == nullptr ? 0 : value->size());
  }
  template <typename Vector, typename Show>
  void list(const char *name, const Vector *values, Show show) {
    std::string all = "[";
    if (values != nullptr)
      for (const auto *value : *values) {
        if (all.size() > 1) all += ", ";
        Object object(all);
        show(object, *value);
      }
    put(name, all + ']');
  }
  template <typename Vector>
  void numbers(const char *name, const Vector *values) {
    std::string all = "[";
    if (values != nullptr)
      for (const auto value : *values) {
        if (all.size() > 1) all += ", ";
        all += number_of(value);
      }
    put(name, all + ']');
  }

 private:
  static std::string number_of(std::uint64_t value) { return std::to_string(value); }
  static std::string number_of(double value) {
    char digits[40];
    std::snprintf(digits, sizeof digits, "%.17g", value);
    return std::isinf(value) ? (value < 0 ? "-Infinity" : "Infinity") : std::isnan(value) ? "NaN" : digits;
  }
  void put(const char *name, const std::string &value) {
    if (text_.back() != '{') text_ += ", ";
    text_ += std::string("\"") + name + "\": " + value;
  }
  std::string &text_;
};

void trace(Object &to, const TraceContext *of) {
  if (of == nullptr) refuse("no trace context");
  to.hex("trace_id", of->trace_id()->data(), of->trace_id()->size());
  to.hex("span_id", of->span_id()->data(), of->span_id()->size());
  to.number("flags", of->flags());
}

template <typename Table>
void picture(Object &to, const Table &of) {
  to.number("sequence", of.sequence());
  to.number("frame_number", of.frame_number());
  to.number("captured_ns", of.captured_ns());
  to.number("wall_ns", of.wall_ns());
  to.number("width", of.width());
  to.number("height", of.height());
  to.number("format", of.format());
  to.number("clock", of.clock());
  trace(to, of.trace());
  to.number("published_ns", of.published_ns());
}

void show(Object &to, const Frame &frame) {
  picture(to, frame);
  to.hex("data", frame.data()->data(), frame.data()->size());
}

void show(Object &to, const Detections &detections) {
  picture(to, detections);
  to.number("infer_ns", detections.infer_ns());
  to.list("rows", detections.rows(), [](Object &row, const Detection &of) {
    row.real("x1", of.x1());
    row.real("y1", of.y1());
    row.real("x2", of.x2());
    row.real("y2", of.y2());
    row.real("score", of.score());
    row.whole("class_id", of.class_id());
  });
}

void show(Object &to, const CameraState &state) {
  to.number("sequence", state.sequence());
  to.number("observed_frame", state.observed_frame());
  to.number("last_sighting_ns", state.last_sighting_ns());
  to.number("person_count", state.person_count());
  to.number("misses", state.misses());
  to.number("state", state.state());
  to.number("mode", state.mode());
  to.truth("known", state.known());
  to.real("threshold", state.threshold());
  to.number("zones", state.zones());
  to.truth("detecting", state.detecting());
  to.truth("live_view", state.live_view());
  to.list("transitions", state.transitions(), [](Object &change, const Transition &of) {
    change.number("frame_number", of.frame_number());
    change.number("captured_ns", of.captured_ns());
    change.number("wall_ns", of.wall_ns());
    change.real("confidence", of.confidence());
    change.number("previous", of.previous());
    change.number("state", of.state());
    trace(change, &of.trace());
  });
}

void show(Object &to, const Heartbeat &beat) {
  to.text("stage", beat.stage());
  to.number("health", beat.health());
  to.text("reason", beat.reason());
  to.number("beat_ns", beat.beat_ns());
  to.number("started_wall_ns", beat.started_wall_ns());
  to.list("sources", beat.sources(), [](Object &source, const SourceHealth &of) {
    source.text("camera", of.camera());
    source.number("health", of.health());
    source.text("reason", of.reason());
  });
  to.list("counters", beat.counters(), [](Object &counter, const Counter &of) {
    counter.text("name", of.name());
    counter.real("value", of.value());
  });
  to.list("facts", beat.facts(), [](Object &fact, const Fact &of) {
    fact.text("name", of.name());
    fact.text("value", of.value());
  });
  to.list("histograms", beat.histograms(), [](Object &histogram, const Histogram &of) {
    histogram.text("name", of.name());
    histogram.numbers("bounds", of.bounds());
    histogram.numbers("counts", of.counts());
    histogram.real("sum", of.sum());
  });
}

template <typename Root>
void read(Bytes buffer, const char *identifier) {
  flatbuffers::Verifier verifier(buffer.data, buffer.size);
  if (!verifier.VerifyBuffer<Root>(identifier)) refuse("not verified");
  std::string text;
  {
    Object object(text);
    show(object, *flatbuffers::GetRoot<Root>(buffer.data));
  }
  std::puts(text.c_str());
}
}  // namespace

int main(int count, char **words) {
  if (count != 4) refuse("say: KIND FILE SLOT");
  const std::string kind = words[1];
  const Bytes file = map(words[2]);
  if (kind == "heartbeats") {
    read<Heartbeat>(file, HeartbeatIdentifier());
    return 0;
  }
  const Bytes slot = slot_of(file, std::strtoull(words[3], nullptr, 10));
  if (kind == "frames") read<Frame>(slot, FrameIdentifier());
  if (kind == "detections") read<Detections>(slot, DetectionsIdentifier());
  if (kind == "state") read<CameraState>(slot, CameraStateIdentifier());
}
