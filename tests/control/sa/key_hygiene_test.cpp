// No freed memory of this test program may hold a key. The whole program's operator delete looks at what
// it frees while a key is being watched for.
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <new>

#include "tests/control/sa/surroundings.hpp"

namespace {

constexpr std::size_t watched_bytes = 16;
std::atomic<bool> watching{false};
std::atomic<int> frees{0};
std::atomic<int> leaks{0};
unsigned char watched[watched_bytes];

void look_and_free(void* block) noexcept {
  if (watching && block) {
    const auto* begin = static_cast<const unsigned char*>(block);
    const auto* end = begin + malloc_usable_size(block);
    ++frees;
    if (std::search(begin, end, watched, watched + watched_bytes) != end) ++leaks;
  }
  std::free(block);
}

void* allocate(std::size_t bytes, std::size_t alignment) {
  bytes = (bytes + alignment - 1) / alignment * alignment;
  if (void* block = std::aligned_alloc(alignment, bytes)) return std::memset(block, 0, bytes);
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t bytes) {
  return allocate(bytes, 16);
}
// Every form that pairs with the deletes below, or an allocation checker sees blocks change hands.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return allocate(bytes, 16);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept {
  look_and_free(block);
}
void operator delete(void* block, std::size_t) noexcept {
  look_and_free(block);
}
void operator delete(void* block, std::align_val_t) noexcept {
  look_and_free(block);
}
void operator delete(void* block, std::size_t, std::align_val_t) noexcept {
  look_and_free(block);
}

using namespace espgate;
using namespace espgate::sa;
using namespace espgate::sa::test;

TEST_CASE("a key leaves no trace in freed memory, from start over a reload to the end") {
  std::mt19937 random(11);
  std::vector<std::uint8_t> key(20);
  for (auto& byte : key) byte = static_cast<std::uint8_t>(random());
  std::ranges::copy_n(key.begin(), watched_bytes, watched);

  {  // the watch sees a leak
    watching = true;
    delete new std::vector<std::uint8_t>(key);
    watching = false;
    REQUIRE(leaks == 1);
    leaks = 0;
  }
  watching = true;
  {
    Surroundings s({6, 5, 1});
    for (unsigned i = 1; i <= 5; ++i) {
      s.configuration.connections.push_back(connection(i));
      s.configuration.connections.back().inbound->keymat = config::Secret(key);
      s.configuration.connections.back().outbound->keymat = config::Secret(key);
      // A long message to be digested.
      for (unsigned j = 0; j < 40; ++j)
        s.configuration.connections.back().local_networks.push_back(connection(100 + j).remote_networks[0]);
    }
    (void)s.configure();
    // All wait for room, so they are kept for a while.
    for (auto& changed : s.configuration.connections) {
      changed.inbound->spi += 0x1000;
      changed.replay_window_packets = 64;
      changed.outbound->spi += 0x1000;
    }
    CHECK(s.configure().deferred > 0);
    s.configuration.connections.clear();
    s.settle();
    (void)s.configure();
    s.settle();
  }
  watching = false;
  std::fill(key.begin(), key.end(), std::uint8_t{0});
  CHECK(frees > 100);
  CHECK(leaks == 0);
}
