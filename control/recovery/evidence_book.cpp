#include "control/recovery/evidence_book.hpp"

#include <algorithm>

#include "datapath/net/headers.hpp"

namespace espgate::recovery {

Case& EvidenceBook::open(const Flow& flow, std::string_view connection, Moment now) {
  make_room(flow.kind);
  auto& one = cases_[++last_number_];
  one.number = last_number_;
  one.key = flow.key;
  one.kind = flow.kind;
  one.repair = flow.repair;
  one.connection = connection;
  one.port = flow.port_name();
  one.began = now;
  return one;
}

void EvidenceBook::make_room(Class kind) {
  const bool stranger = kind == Class::stranger;
  const auto is_alike = [&](const auto& entry) { return (entry.second.kind == Class::stranger) == stranger; };
  const auto alike = static_cast<std::size_t>(std::ranges::count_if(cases_, is_alike));
  if (alike < (stranger ? kept_of_strangers : kept_of_peers)) return;
  // What is made up easily goes before what is not.
  const auto guess = std::ranges::find_if(
      cases_, [&](const auto& entry) { return is_alike(entry) && entry.second.kind == Class::never_issued; });
  cases_.erase(guess != cases_.end() ? guess : std::ranges::find_if(cases_, is_alike));
}

Case* EvidenceBook::find(std::uint64_t number) {
  const auto found = cases_.find(number);
  return found == cases_.end() ? nullptr : &found->second;
}

void EvidenceBook::add_packet(Case& one, const sa::SpiMiss& miss, WallTime when) {
  if (one.packets.size() >= packets_each) return;
  EvidencePacket packet{when, miss.frame_bytes, {}};
  const auto held = std::min<std::size_t>(miss.head_bytes, sizeof miss.head);
  if (miss.link_bytes == 0) {
    packet.frame.resize(net::ethernet_bytes);
    net::store_be16(packet.frame, net::ethernet_bytes - 2,
                    miss.family == net::Family::v4 ? net::ethertype_ipv4 : net::ethertype_ipv6);
    packet.frame_bytes += net::ethernet_bytes;
  }
  packet.frame.insert(packet.frame.end(), miss.head, miss.head + held);
  one.packets.push_back(std::move(packet));
}

std::vector<const Case*> EvidenceBook::of_spi(std::uint32_t spi) const {
  std::vector<const Case*> found;
  for (const auto& [number, one] : cases_)
    if (one.key.spi == spi) found.push_back(&one);
  return found;
}

}  // namespace espgate::recovery
