#include "datapath/sa/sa_parameters.hpp"

#include <cstdio>

namespace espgate::sa {
namespace {

constexpr std::uint32_t smallest_window = 64;
constexpr std::uint32_t largest_window = 65'536;
constexpr std::size_t most_selectors = 255;

std::string about(const SaParameters& parameters, const std::string& what) {
  return "SPI " + spi_text(parameters.spi) + ": " + what;
}

}  // namespace

std::string spi_text(std::uint32_t spi) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", spi);
  return text;
}

Expected<void> validate_spi(std::uint32_t spi) {
  if (spi >= first_usable_spi) return {};
  return Error{"SPI " + spi_text(spi) + " is reserved (RFC 4303 2.1)", "use 0x100 or above"};
}

Expected<void> validate_outbound(const SaParameters& parameters) {
  if (auto result = validate_spi(parameters.spi); !result) return result;
  const auto& suite = crypto::suite(parameters.suite);
  if (parameters.keymat.size() != suite.keymat_bytes())
    return Error{about(parameters, "the key has " + std::to_string(parameters.keymat.size()) + " bytes"),
                 std::string(suite.name) + " takes " + std::to_string(suite.keymat_bytes()) +
                     ": the cipher's key and salt, then the integrity key"};
  if (parameters.local.family != parameters.remote.family)
    return Error{about(parameters, "outer addresses " + net::to_string(parameters.local) + " and " +
                                       net::to_string(parameters.remote) + " are of different families"),
                 "give both as IPv4 or both as IPv6"};
  if (parameters.encapsulation == Encapsulation::udp &&
      (parameters.local_port == 0 || parameters.remote_port == 0))
    return Error{about(parameters, "UDP encapsulation with port 0"), "use 4500 unless a NAT changes it"};
  if (parameters.outer.dscp.value_or(0) > 63)
    return Error{about(parameters, "DSCP " + std::to_string(*parameters.outer.dscp)), "a DSCP is 0 to 63"};
  if (parameters.outer.hop_limit == 0) return Error{about(parameters, "TTL 0"), "use 1 to 255"};
  if (parameters.selectors.size() > most_selectors)
    return Error{about(parameters, std::to_string(parameters.selectors.size()) + " selectors"),
                 "an SA has 255 at most"};
  for (const auto& selector : parameters.selectors)
    if (selector.local.first.family != selector.remote.first.family)
      return Error{about(parameters, "selector " + net::to_string(selector) + " mixes families"),
                   "pair IPv4 networks with IPv4, IPv6 with IPv6"};
  return {};
}

Expected<void> validate_inbound(const SaParameters& parameters) {
  if (auto result = validate_outbound(parameters); !result) return result;
  const auto window = parameters.window_packets;
  if (window != 0 && (window < smallest_window || window > largest_window))
    return Error{about(parameters, "replay window of " + std::to_string(window) + " packets"),
                 "use 64 to 65536, or 0"};
  if (parameters.selectors.empty())
    return Error{about(parameters, "no selector"), "an inbound SA has 1 to 255"};
  return {};
}

}  // namespace espgate::sa
