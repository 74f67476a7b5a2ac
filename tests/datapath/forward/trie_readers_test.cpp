// A worker looks up while the control thread changes the table. What it may see is fixed beforehand: for
// every address the values of the prefixes that ever cover it.
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "datapath/forward/prefix_trie.hpp"
#include "tests/datapath/forward/prefixes.hpp"

using namespace espgate;
using namespace espgate::forward;
using namespace espgate::testing;

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
  // 10.1/16 always has value 1. Below it prefixes come and go, each with a value of its own: 1000 + the third
  // byte. The groups are so few that those of one third byte are reused for the next all the time.
  const auto instructions = GENERATE(Instructions::plain, Instructions::avx512);
  if (!available(instructions)) return;
  Worker worker;
  auto trie = PrefixTrie::create(6, SOCKET_ID_ANY, {&Worker::wait, &worker}, instructions);
  REQUIRE(trie);
  REQUIRE(trie->set(*net::parse_prefix("10.1.0.0/16"), 1));
  std::atomic<std::uint64_t> wrong{0}, specific{0};
  std::thread reader([&] {
    std::mt19937 random(1);
    while (!worker.stop.load()) {
      std::uint32_t addresses[64], values[64];
      for (auto& address : addresses) address = 0x0a010000 | (random() & 0xffff);
      trie->lookup(addresses, values);
      for (int i = 0; i < 64; ++i) {
        const auto own = 1000 + (addresses[i] >> 8 & 0xff);
        if (values[i] != 1 && values[i] != own) ++wrong;
        if (values[i] == own) ++specific;
      }
      ++worker.rounds_done;
    }
  });

  std::mt19937 random(2);
  Model model;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (std::chrono::steady_clock::now() < until) {
    const auto third = static_cast<std::uint32_t>(random() & 0xff);
    const auto length = static_cast<std::uint8_t>(24 + random() % 9);
    const auto prefix = net::masked(net::Address::v4(0x0a010000 | third << 8 | (random() & 0xff)), length);
    if (trie->set(prefix, 1000 + third)) model[prefix] = 1000 + third;
    while (model.size() > 3) {
      const auto victim = std::next(model.begin(), static_cast<long>(random() % model.size()));
      REQUIRE(trie->remove(victim->first));
      model.erase(victim);
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
