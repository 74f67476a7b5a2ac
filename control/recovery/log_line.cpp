#include "control/recovery/log_line.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace espgate::recovery {
namespace {

// Local time, as in the rest of the log; with the date when it is not the last packet's day.
std::string since(const Moment& first, const Moment& last) {
  const auto begin = fmt::localtime(std::chrono::system_clock::to_time_t(first.wall));
  const auto end = fmt::localtime(std::chrono::system_clock::to_time_t(last.wall));
  const bool same_day = begin.tm_year == end.tm_year && begin.tm_yday == end.tm_yday;
  return same_day ? fmt::format("{:%H:%M:%S}", begin) : fmt::format("{:%Y-%m-%d %H:%M:%S}", begin);
}

std::string who(Class kind, std::string_view owner) {
  if (owner.empty()) return "unknown peer";
  return fmt::format("{} {}", kind == Class::never_issued ? "known peer" : "connection", owner);
}

std::string ends_text(const sa::SaEnds& ends) {
  const bool udp = ends.encapsulation == sa::Encapsulation::udp;
  return fmt::format("its SA is from {}{} to {}", net::to_string(ends.peer),
                     udp ? fmt::format(" by UDP port {}", ends.peer_port) : ", plain,",
                     net::to_string(ends.local));
}

}  // namespace

std::string log_line(const Flow& flow, std::string_view owner, const sa::SpiFacts& facts) {
  const auto& key = flow.key;
  auto line = fmt::format(
      "%CRYPTO-4-RECVD_PKT_INV_SPI: decaps: rec'd IPSEC packet has invalid spi for destaddr={}, prot={}, "
      "spi=0x{:X}({}), srcaddr={}, input interface={}; espgate: {}, {}, {} packet{} since {}",
      net::to_string(key.destination), key.encapsulation == sa::Encapsulation::udp ? 17 : 50, key.spi,
      key.spi, net::to_string(key.source), flow.port_name(), name(flow.kind), who(flow.kind, owner),
      flow.packets, flow.packets == 1 ? "" : "s", since(flow.first, flow.last));
  if (flow.suppressed > 0) line += fmt::format(" ({} suppressed)", flow.suppressed);
  if (flow.kind == Class::just_rekeyed && facts.successor != 0)
    line += fmt::format("; SPI 0x{:X} took over", facts.successor);
  if (facts.ends && (flow.kind == Class::peer_moved || flow.kind == Class::wrong_destination))
    line += "; " + ends_text(*facts.ends);
  // What was done about it, or else what there is to do.
  if (flow.repair != Repair::none) line += fmt::format("; {}", name(flow.repair));
  if (!helps(flow.repair)) line += fmt::format("; {}", remedy(flow.kind));
  return line;
}

}  // namespace espgate::recovery
