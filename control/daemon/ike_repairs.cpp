// What IKE does about SPIs of nobody's that peers send with.
#include <algorithm>
#include <utility>

#include "control/daemon/ike_service.hpp"
#include "control/daemon/log.hpp"

namespace espgate::daemon {

void IkeService::act(const ike::OwnChild& action, Moment now) {
  if (parts_.spi_journal == nullptr) return;
  say_if_unwritten(parts_.spi_journal->note(
      action.inbound_spi,
      {action.peer, action.child, action.ike_sa.initiator, action.ike_sa.responder, action.we_began}, now));
}

// Once, until it goes well again.
void IkeService::say_if_unwritten(const Expected<void>& noted) {
  if (!noted && journal_is_written_) ike_log().warn("{}", noted.error().text());
  journal_is_written_ = static_cast<bool>(noted);
}

std::vector<recovery::HistoryLine> IkeService::history_of(const net::Address& peer,
                                                          const std::string& connection) const {
  auto history = history_.of(peer);
  const auto known = connections_.find(connection);
  if (known != connections_.end() && !known->second.settings.any_peer)
    for (const auto& line : known->second.lines)
      history.push_back({line.when.wall, line.when.wall, "log", line.text});
  std::ranges::stable_sort(history, {}, &recovery::HistoryLine::first);
  return history;
}

recovery::Repair IkeService::repair(std::string_view connection, const sa::SpiMiss& miss, Moment now) {
  // A peer at any address may be gone, and so may be what had the SPI before a restart.
  std::string name(connection);
  if (!known(name)) name = name.substr(0, name.find('#'));
  if (known(name) && parts_.sas.about(miss.spi).connection == connection)
    return repair_by(name, name, miss, now);
  // One that nobody ever had may be any connection's with that peer: whichever it is, it is seen to.
  constexpr std::size_t most = 16;
  const auto source = net::Address::from_bytes(miss.family, miss.source);
  if (!known(name)) name = parts_.sas.connection_of_peer(source);
  std::vector<std::string> names{name};
  for (const auto& other : core_.connections_of_peer(source))
    if (names.size() < most && other->name != name) names.push_back(other->name);
  auto best = recovery::Repair::no_ike;
  bool has_begun = false;  // one for a packet: the next one begins another
  for (const auto& one : names) {
    if (!known(one) || (has_begun && !is_established(one))) continue;
    const auto done = repair_by(one, "", miss, now);
    has_begun = has_begun || done == recovery::Repair::begun || done == recovery::Repair::token;
    if (best == recovery::Repair::no_ike || (helps(done) && !helps(best))) best = done;
  }
  return best;
}

bool IkeService::is_established(const std::string& name) {
  const auto place = place_of(name);
  return core_.reach(place.connection, place.peer) == ike::IkeCore::Reach::established;
}

// By the IKE SA of that connection; `child`: that is made anew if it is missing, empty for each.
recovery::Repair IkeService::repair_by(const std::string& name, const std::string& child,
                                       const sa::SpiMiss& miss, Moment now) {
  using Reach = ike::IkeCore::Reach;
  using recovery::Repair;
  const auto* of_many = peer(name);
  const auto& configured = connections_.at(configured_name(name));
  const auto allowed = configured.settings.invalid_spi_recovery;
  if (allowed == config::InvalidSpiRecovery::off) return Repair::turned_off;
  const bool may_begin = allowed == config::InvalidSpiRecovery::full;
  auto place = place_of(name);
  const bool is_any = of_many == nullptr && configured.settings.any_peer;
  const auto reach = is_any ? Reach::impossible : core_.reach(place.connection, place.peer);
  if (reach == Reach::impossible) return may_begin ? send_token(miss, now) : Repair::turned_off;
  if (reach == Reach::possible && configured.is_terminated) return Repair::terminated;
  if (reach == Reach::possible && !may_begin) return Repair::turned_off;
  const auto& wanted = of_many != nullptr && !child.empty() ? of_many->connection : child;
  feed(ike::InvalidSpi{std::move(place.connection), wanted, std::move(place.peer), miss.spi, may_begin,
                       in_udp_from(miss)},
       now);
  switch (reach) {
    case Reach::established:
      return Repair::told;
    case Reach::beginning:
      return Repair::under_way;
    case Reach::possible:
    case Reach::impossible:
      break;
  }
  return Repair::begun;
}

// Any port may be forged; that of an SPI which we gave out is hardly guessed with it.
std::optional<ike::Endpoint> IkeService::in_udp_from(const sa::SpiMiss& miss) const {
  if (miss.encapsulation != sa::Encapsulation::udp || parts_.spi_journal == nullptr) return std::nullopt;
  if (!parts_.spi_journal->find(miss.spi)) return std::nullopt;
  return ike::Endpoint{net::Address::from_bytes(miss.family, miss.source), miss.source_port};
}

// To where the packet came from: with UDP encapsulation that is where the peer's NAT has its IKE, too.
recovery::Repair IkeService::send_token(const sa::SpiMiss& miss, Moment now) {
  const auto before = parts_.spi_journal == nullptr ? std::nullopt : parts_.spi_journal->find(miss.spi);
  if (!before) return recovery::Repair::only_peer;
  const auto source = net::Address::from_bytes(miss.family, miss.source);
  const auto destination = net::Address::from_bytes(miss.family, miss.destination);
  const bool udp = miss.encapsulation == sa::Encapsulation::udp;
  if (before->peer == source) history_.expect(source);
  ike::LostSpi lost{miss.spi,
                    {before->ike_initiator, before->ike_responder},
                    before->we_began,
                    {destination, udp ? miss.destination_port : net::ike_port},
                    {source, udp ? miss.source_port : net::ike_port},
                    0};
  // IP, UDP, and the non-ESP marker of port 4500.
  const std::size_t headers = (miss.family == net::Family::v4 ? 20u : 40u) + 8u + (udp ? 4u : 0u);
  lost.most_bytes = miss.packet_bytes > headers ? miss.packet_bytes - headers : 0;
  const auto sent = core_.tokens_sent(), withheld = core_.tokens_withheld();
  feed(std::move(lost), now);
  using recovery::Repair;
  if (must_wait()) return Repair::queued;
  if (core_.tokens_sent() != sent) return knows_way_to(source) ? Repair::token : Repair::queued;
  // Or the packet was too small for an answer, or the token's secret is gone.
  return core_.tokens_withheld() != withheld ? Repair::limited : Repair::only_peer;
}

// Else what is sent there waits a moment for the neighbour's Ethernet address (LateDatagrams).
bool IkeService::knows_way_to(const net::Address& address) const {
  if (parts_.forwarding == nullptr) return true;
  const auto kind = parts_.forwarding->hop_to(address.bytes.data(), address.family).kind;
  return kind == forward::HopKind::resolved || kind == forward::HopKind::tunnel;
}

}  // namespace espgate::daemon
