// The least that hand-over can take: one process sends a message to each of N queues, N others poll and receive it.
//   handover send QUEUES COUNT PAUSE_US     handover receive QUEUE COUNT
// A message is its own CLOCK_MONOTONIC time. A receiver prints the nanoseconds that each took, a line each.
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <time.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {
constexpr long kBytes = 32;

std::int64_t now() {
  timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1'000'000'000LL + at.tv_nsec;
}

mqd_t open_queue(const char *name) {
  mq_attr attributes{};
  attributes.mq_maxmsg = 1;
  attributes.mq_msgsize = kBytes;
  const mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attributes);
  if (queue < 0) {
    std::perror(name);
    std::exit(1);
  }
  return queue;
}

int send(const std::string &names, int count, int pause_us) {
  std::vector<mqd_t> queues;
  for (std::size_t at = 0; at < names.size();) {
    const auto end = names.find(',', at);
    queues.push_back(open_queue(names.substr(at, end - at).c_str()));
    at = end == std::string::npos ? names.size() : end + 1;
  }
  for (int i = 0; i < count; ++i) {
    const timespec pause{0, pause_us * 1000L};
    nanosleep(&pause, nullptr);
    char message[kBytes] = {};
    const std::int64_t at = now();
    std::memcpy(message, &at, sizeof at);
    for (const auto queue : queues) mq_send(queue, message, kBytes, 0);
  }
  return 0;
}

int receive(const char *name, int count) {
  const mqd_t queue = open_queue(name);
  std::vector<std::int64_t> took;
  std::puts("ready");
  std::fflush(stdout);
  while (static_cast<int>(took.size()) < count) {
    pollfd wait{queue, POLLIN, 0};
    if (poll(&wait, 1, 2000) <= 0) break;
    char message[kBytes];
    if (mq_receive(queue, message, kBytes, nullptr) < 0) continue;
    std::int64_t at;
    std::memcpy(&at, message, sizeof at);
    took.push_back(now() - at);
  }
  for (const auto one : took) std::printf("%lld\n", static_cast<long long>(one));
  return 0;
}
}  // namespace

int main(int count, char **arguments) {
  if (count == 5 && std::string(arguments[1]) == "send")
    return send(arguments[2], std::atoi(arguments[3]), std::atoi(arguments[4]));
  if (count == 4 && std::string(arguments[1]) == "receive") return receive(arguments[2], std::atoi(arguments[3]));
  return 2;
}
