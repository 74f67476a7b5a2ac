#include "control/ike/fragments.hpp"

namespace espgate::ike {

bool Fragments::wants(std::uint32_t message_id, const EncryptedFragment& fragment) const {
  if (fragment.total > most_parts) return false;
  if (parts_.empty() || message_id != message_id_) return true;
  // More parts than so far: the sender has found that the path takes only smaller ones. Fewer: an old one.
  if (fragment.total != parts_.size()) return fragment.total > parts_.size();
  return !parts_[fragment.number - std::size_t{1}];
}

std::optional<Fragments::Whole> Fragments::add(std::uint32_t message_id, const EncryptedFragment& fragment,
                                               std::vector<std::uint8_t> content, std::size_t most_bytes) {
  if (!wants(message_id, fragment)) return {};
  if (message_id != message_id_ || fragment.total != parts_.size()) {
    clear();
    message_id_ = message_id;
    parts_.resize(fragment.total);
  }
  bytes_ += content.size();
  if (bytes_ > most_bytes) {
    clear();
    return {};
  }
  if (fragment.number == 1) first_ = fragment.first;
  parts_[fragment.number - std::size_t{1}] = std::move(content);
  if (++arrived_ < parts_.size()) return {};

  Whole whole{first_, {}};
  whole.bytes.reserve(bytes_);
  for (const auto& part : parts_) whole.bytes.insert(whole.bytes.end(), part->begin(), part->end());
  clear();
  return whole;
}

void Fragments::clear() {
  parts_ = {};
  arrived_ = 0;
  bytes_ = 0;
}

}  // namespace espgate::ike
