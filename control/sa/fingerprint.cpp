#include "control/sa/fingerprint.hpp"

#include "datapath/base/digest.hpp"

namespace espgate::sa {
namespace {

class Message : public DigestInput {
 public:
  using DigestInput::add;
  void add(const net::Address& address) {
    add(address.family);
    add_raw(address.bytes);
  }
  void add(const net::AddressRange& range) {
    add(range.first);
    add(range.last);
  }
  void add(const net::PortRange& range) {
    add(range.first);
    add(range.last);
  }
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
  message.add(parameters.any_encapsulation);
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
