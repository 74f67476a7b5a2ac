#include "control/sa/fingerprint.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <type_traits>

namespace espgate::sa {
namespace {

// The bytes to be digested. They contain a key, so they do not stay.
class Message {
 public:
  Message() { bytes_.reserve(512); }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
  ~Message() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

  template <typename Number>
  void add(Number number) {
    static_assert(std::is_integral_v<Number> || std::is_enum_v<Number>);
    auto value = static_cast<std::uint64_t>(number);
    for (int i = 0; i < 8; ++i, value >>= 8) push(static_cast<std::uint8_t>(value));
  }
  void add(const net::Address& address) {
    add(address.family);
    for (const auto byte : address.bytes) push(byte);
  }
  void add(const net::AddressRange& range) {
    add(range.first);
    add(range.last);
  }
  void add(const net::PortRange& range) {
    add(range.first);
    add(range.last);
  }
  void add(const std::vector<std::uint8_t>& bytes) {
    add(bytes.size());
    for (const auto byte : bytes) push(byte);
  }

  Digest digest() const {
    // Looked up once: looking up an algorithm costs OpenSSL 3 more than a digest of this size.
    static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    Digest result{};
    EVP_Digest(bytes_.data(), bytes_.size(), result.data(), nullptr, sha256, nullptr);
    return result;
  }

 private:
  void push(std::uint8_t byte) {
    if (bytes_.size() == bytes_.capacity()) grow();
    bytes_.push_back(byte);
  }
  // By hand, since a vector that grows by itself leaves its old bytes behind.
  void grow() {
    std::vector<std::uint8_t> larger;
    larger.reserve(bytes_.capacity() * 2);
    larger.insert(larger.end(), bytes_.begin(), bytes_.end());
    OPENSSL_cleanse(bytes_.data(), bytes_.size());
    bytes_.swap(larger);
  }

  std::vector<std::uint8_t> bytes_;
};

}  // namespace

Fingerprint fingerprint(const SaParameters& parameters) {
  Message message;
  message.add(parameters.spi);
  message.add(parameters.suite);
  message.add(parameters.extended_sequence);
  message.add(parameters.keymat);
  Fingerprint result;
  result.key = message.digest();
  message.add(parameters.local);
  message.add(parameters.remote);
  message.add(parameters.encapsulation);
  message.add(parameters.mode);
  message.add(parameters.outer.df);
  message.add(parameters.outer.dscp ? *parameters.outer.dscp : -1);
  message.add(parameters.outer.ecn);
  message.add(parameters.outer.hop_limit);
  message.add(parameters.outer.flow_label);
  message.add(parameters.tfc_bytes);
  message.add(parameters.track_peer);
  message.add(parameters.local_port);
  message.add(parameters.remote_port);
  message.add(parameters.window_packets);
  const auto& lifetime = parameters.lifetime;
  for (const auto limit : {lifetime.soft_packets, lifetime.hard_packets, lifetime.soft_bytes,
                           lifetime.hard_bytes, lifetime.soft_seconds, lifetime.hard_seconds})
    message.add(limit);
  for (const auto& selector : parameters.selectors) {
    message.add(selector.local);
    message.add(selector.remote);
    message.add(selector.protocol.has_value());
    message.add(selector.protocol.value_or(0));
    message.add(selector.local_ports);
    message.add(selector.remote_ports);
  }
  result.sa = message.digest();
  return result;
}

}  // namespace espgate::sa
