#include "datapath/sa/selector.hpp"

namespace espgate::sa {
namespace {

Fit fit(const DetailedSelector& detailed, const net::Flow& flow) {
  const auto& selector = detailed.selector;
  if (selector.family() != flow.family || !net::within(detailed.ranges, flow)) return Fit::outside;
  if (!selector.protocol) return Fit::inside;
  if (!flow.protocol_known) return Fit::unknown;
  if (*selector.protocol != flow.protocol()) return Fit::outside;
  if (!selector.needs_ports()) return Fit::inside;
  if (!flow.ports_known) return Fit::unknown;
  return selector.local_ports.contains(flow.local_port()) &&
                 selector.remote_ports.contains(flow.remote_port())
             ? Fit::inside
             : Fit::outside;
}

}  // namespace

Fit fit(std::span<const DetailedSelector> selectors, const net::Flow& flow) {
  Fit best = Fit::outside;
  for (const auto& selector : selectors) {
    const auto one = fit(selector, flow);
    if (one == Fit::inside) return one;
    if (one == Fit::unknown) best = one;
  }
  return best;
}

}  // namespace espgate::sa
