// No engine reads or writes beyond what it was given: everything ends where a page without access begins.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "tests/drivers/crypto/harness.hpp"

using namespace espgate::crypto;
using namespace espgate::crypto::test;

namespace {

// Memory of `bytes` that ends at a page without access.
class Fenced {
 public:
  explicit Fenced(std::size_t bytes) : offset_(area() - page() - bytes) {
    all_ = ::mmap(nullptr, area(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(all_ != MAP_FAILED);
    REQUIRE(::mprotect(static_cast<std::byte*>(all_) + area() - page(), page(), PROT_NONE) == 0);
  }
  ~Fenced() { ::munmap(all_, area()); }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;

  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(all_) + offset_);
  }

 private:
  static std::size_t page() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }
  static std::size_t area() { return 4 * page(); }

  void* all_;
  std::size_t offset_;
};

}  // namespace

TEST_CASE("keys, operations, texts and ICVs may end at the end of mapped memory") {
  std::mt19937 random(10);
  for (const auto& engine : every_engine()) {
    const auto queue = std::move(*engine->make_queue());
    for (const auto& row : suites()) {
      CAPTURE(engine->implementation(), row.name);
      const Fenced raw(row.keymat_bytes()), prepared(engine->prepared_key_bytes(row.id));
      const Fenced operation(sizeof(Operation));
      const auto key = random_bytes(random, row.keymat_bytes());
      std::memcpy(raw.as<std::uint8_t>(), key.data(), key.size());
      REQUIRE(engine->prepare_key(row.id, {raw.as<std::uint8_t>(), key.size()}, prepared.as<std::byte>()));

      const Key unused(*engine, row.id, key);
      for (std::size_t size = 0; size < 300; ++size) {
        auto packet = random_packet(random, row, size, size % 2 == 0);
        const auto plain = packet.text();
        const Fenced wire(packet.wire().size());
        std::ranges::copy(packet.wire(), wire.as<std::uint8_t>());
        auto* const op = new (operation.as<void>()) Operation(packet.operation(unused));
        op->key = prepared.as<std::byte>();
        op->text = wire.as<std::uint8_t>() + packet.header().size() + packet.iv().size();
        queue->seal({op, 1});
        REQUIRE(op->status == Status::ok);
        queue->open({op, 1});
        REQUIRE(op->status == Status::ok);
        REQUIRE(std::ranges::equal(plain, std::span(op->text, op->text_bytes)));
      }
    }
  }
}
