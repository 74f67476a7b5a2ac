// A worker looks up while the control thread changes the table. What it may see is fixed beforehand: for
// every address the values of the prefixes that ever cover it.
#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <thread>

#include "datapath/forward/prefix_trie.hpp"

using namespace espgate;
using namespace espgate::forward;

namespace {

// Counts its rounds; the barrier waits until one that began after the call is over.
struct Worker {
  std::atomic<std::uint64_t> rounds_done{0};
  std::atomic<std::uint64_t> waits{0};
  std::atomic<bool> stop{false};

  static void wait(void* context) {
    auto& worker = *static_cast<Worker*>(context);
    ++worker.waits;
    const auto begun = worker.rounds_done.load();
    while (worker.rounds_done.load() < begun + 2 && !worker.stop.load()) std::this_thread::yield();
  }
};

}  // namespace

TEST_CASE("a worker sees a value from before or after a change, never another") {
  // 2001:db8::/32 always has value 1. Below it prefixes come and go, each with a value of its own: 1000 + its
  // fifth byte. The groups are so few that one fifth byte's are reused for another's all the time, and a
  // burst of deep IPv6 lookups is long enough under way to meet that.
  const auto instructions = GENERATE(Instructions::plain, Instructions::avx512);
  if (!available(instructions)) return;
  Worker worker;
  auto trie = PrefixTrie::create(11, SOCKET_ID_ANY, {&Worker::wait, &worker}, instructions);
  REQUIRE(trie);
  REQUIRE(trie->set(*net::parse_prefix("2001:db8::/32"), 1));
  std::atomic<std::uint64_t> wrong{0}, specific{0};
  std::thread reader([&] {
    std::mt19937 random(1);
    std::uint32_t values[64];
    std::uint8_t addresses[64][16] = {};
    while (!worker.stop.load()) {
      for (auto& address : addresses) {
        const std::uint8_t bytes[] = {0x20, 0x01, 0x0d, 0xb8, static_cast<std::uint8_t>(random() % 8)};
        std::copy(std::begin(bytes), std::end(bytes), address);
      }
      trie->lookup(addresses, values);
      for (int i = 0; i < 64; ++i) {
        const std::uint32_t own = 1000U + addresses[i][4];
        if (values[i] != 1 && values[i] != own) ++wrong;
        if (values[i] == own) ++specific;
      }
      ++worker.rounds_done;
    }
  });

  std::mt19937 random(2);
  std::vector<net::Prefix> present;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (std::chrono::steady_clock::now() < until) {
    const auto fifth = static_cast<std::uint8_t>(random() % 8);
    auto address = net::parse_prefix("2001:db8::/32")->address;
    address.bytes[4] = fifth;
    const net::Prefix prefix{address, static_cast<std::uint8_t>(41 + random() % 24)};
    if (!trie->find(prefix) && trie->set(prefix, 1000U + fifth)) present.push_back(prefix);
    while (present.size() > 2) {
      std::swap(present[random() % present.size()], present.back());
      REQUIRE(trie->remove(present.back()));
      present.pop_back();
    }
  }
  worker.stop = true;
  reader.join();
  CHECK(wrong == 0);
  CHECK(specific > 0);
  CHECK(worker.waits > 10);
}

TEST_CASE("taking many prefixes away waits for the workers once at most") {
  struct Count {
    int waits = 0;
    static void wait(void* context) { ++static_cast<Count*>(context)->waits; }
  } count;
  auto trie = PrefixTrie::create(5'000, SOCKET_ID_ANY, {&Count::wait, &count});
  REQUIRE(trie);
  const auto prefix = [](std::uint32_t i) { return net::Prefix{net::Address::v4(0x0a000000 | i << 8), 25}; };
  for (int round = 0; round < 3; ++round) {
    for (std::uint32_t i = 0; i < 4'000; ++i) REQUIRE(trie->set(prefix(i), i + 1));
    for (std::uint32_t i = 0; i < 4'000; ++i) REQUIRE(trie->remove(prefix(i)));
  }
  CHECK(count.waits == 2);
}
