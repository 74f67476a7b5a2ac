// Key bytes, and how they are compared. Any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

namespace espgate {

// Takes the same time wherever the bytes differ.
inline bool equal_secrets(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
  if (a.size() != b.size()) return false;
  volatile std::uint8_t difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference = static_cast<std::uint8_t>(difference | (a[i] ^ b[i]));
  return difference == 0;
}

// Bytes that leave no trace in memory when they go.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::vector<std::uint8_t> bytes) : bytes_(std::move(bytes)) {}
  // So many zeros, to be written over.
  explicit Secret(std::size_t size) : bytes_(size) {}
  Secret(const Secret&) = default;
  Secret(Secret&&) noexcept = default;
  Secret& operator=(const Secret& other) {
    if (this != &other) {
      // Assigning in place could reallocate and leave the old bytes behind.
      cleanse();
      bytes_ = other.bytes_;
    }
    return *this;
  }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      cleanse();
      bytes_ = std::move(other.bytes_);
      other.bytes_.clear();
    }
    return *this;
  }
  ~Secret() { cleanse(); }

  const std::vector<std::uint8_t>& bytes() const { return bytes_; }
  std::span<std::uint8_t> writable() { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }

  bool operator==(const Secret& other) const { return equal_secrets(bytes_, other.bytes_); }

 private:
  void cleanse() {
    if (!bytes_.empty()) explicit_bzero(bytes_.data(), bytes_.size());
  }

  std::vector<std::uint8_t> bytes_;
};

}  // namespace espgate
