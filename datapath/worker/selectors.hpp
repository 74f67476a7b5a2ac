// Whether an SA is for a packet, by the selectors that it keeps behind its first one.
#pragma once

#include <span>

#include "datapath/parse/upper_layer.hpp"
#include "datapath/worker/packet.hpp"

namespace espgate::worker {

enum class Way : std::uint8_t {
  in,
  out,
  quoted,  // by an ICMP error: the beginning of what went out
};

// `packet` begins with a sound IP header of `family`. Reads what is behind it only for selectors that go by
// it, of fragments what all of them have.
inline sa::Fit judge(const sa::MoreSelectors& selectors, Way way, net::Family family,
                     std::span<const std::uint8_t> packet) {
  const auto* source = source_of(packet.data(), family);
  const auto* destination = destination_of(packet.data(), family);
  const auto* remote = way == Way::in ? source : destination;
  const auto* local = way == Way::in ? destination : source;
  for (const auto& selector : selectors.prefixes)
    if (sa::matches(selector, family, remote, local)) return sa::Fit::inside;
  if (selectors.detailed.empty()) return sa::Fit::outside;
  net::Flow flow;
  if (way == Way::quoted)
    parse::read_flow(packet, family, flow);
  else
    parse::read_flow_of_part(packet, family, flow);
  return sa::fit(selectors.detailed, way == Way::in ? flow.turned() : flow);
}

}  // namespace espgate::worker
