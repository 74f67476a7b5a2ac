// Key bytes that leave no trace in memory when they go. One owner, any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

namespace espgate {

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

  // Takes the same time wherever the bytes differ.
  bool operator==(const Secret& other) const { return equals(other.bytes_); }
  bool equals(std::span<const std::uint8_t> other) const {
    if (bytes_.size() != other.size()) return false;
    volatile std::uint8_t difference = 0;
    for (std::size_t i = 0; i < other.size(); ++i)
      difference = static_cast<std::uint8_t>(difference | (bytes_[i] ^ other[i]));
    return difference == 0;
  }

 private:
  void cleanse() {
    if (!bytes_.empty()) explicit_bzero(bytes_.data(), bytes_.size());
  }

  std::vector<std::uint8_t> bytes_;
};

}  // namespace espgate
