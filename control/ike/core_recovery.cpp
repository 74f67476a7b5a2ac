// Packets that come with an SPI of nobody's, of ESP or of IKE: what the core does about them (RFC 7296 1.5,
// RFC 6290).
#include <array>

#include "control/ike/core.hpp"
#include "datapath/net/bytes.hpp"

namespace espgate::ike {

IkeCore::Reach IkeCore::reach(const std::string& connection, const std::optional<Identity>& peer) const {
  const auto found = records_.find(connection);
  if (found == records_.end()) return Reach::impossible;
  bool is_beginning = false;
  if (const auto ids = by_connection_.find(connection); ids != by_connection_.end())
    for (const auto id : ids->second) {
      const auto& sa = *ike_sa(id);
      if (peer && !(sa.peer_identity() && same_identity(*sa.peer_identity(), *peer))) continue;
      if (sa.state() == IkeSa::State::established && !sa.is_closing()) return Reach::established;
      is_beginning |= sa.state() == IkeSa::State::greeting || sa.state() == IkeSa::State::proving;
    }
  if (is_beginning) return Reach::beginning;
  const auto& ours = *found->second.connection;
  return ours.local && ours.remote ? Reach::possible : Reach::impossible;
}

void IkeCore::on(const InvalidSpi& event, Time now) {
  constexpr std::size_t most = 16;  // while it is not up; the peer forgets all of them with INITIAL_CONTACT
  const auto found = records_.find(event.connection);
  if (found == records_.end()) return;
  const auto owner = children_.find(event.spi);
  if (owner != children_.end() && sas_.at(owner->second).sa->uses(event.spi)) return;
  auto& record = found->second;
  const auto& connection = record.connection;
  for (auto* sa : living(event.connection, event.peer)) {
    if (sa->state() != IkeSa::State::established) continue;
    // What has an owner is being deleted, so the peer is told of that already.
    if (owner == children_.end()) sa->report_invalid_spi(event.spi);
    sa->repeat_request(now);
    // One at any address makes what it wants itself.
    for (const auto& child : connection->children)
      if (connection->remote && (event.child.empty() || child.name == event.child) &&
          !record.unwanted.contains(child.name))
        sa->want_child_after_report(ChildHandle(connection, &child), now);
    return;
  }
  if (!event.may_begin || event.peer) return;
  if (record.invalid_spis.size() < most) record.invalid_spis.insert(event.spi);
  // What was begun by another port may never get through to the peer.
  if (event.in_udp_from)
    for (auto* sa : living(event.connection))
      if (sa->state() == IkeSa::State::greeting && sa->remote() != *event.in_udp_from &&
          sa->remote().address == event.in_udp_from->address)
        sa->close(IkeSa::End::replaced);
  // With the IKE SA the peer lets go of all of its children.
  for (const auto& child : connection->children)
    if (!record.unwanted.contains(child.name)) record.demanded.insert(child.name);
  if (!record.demanded.empty()) begin(record, now, event.in_udp_from);
}

// Whoever sends it believes in an IKE SA that we had before we started anew, or makes it up.
void IkeCore::on_stray(const Header& header, const DatagramReceived& datagram, Time now) {
  if (is_sealed(header.first) && !header.is_response() && header.initiator_spi != 0 &&
      header.responder_spi != 0) {
    return send_token(answer_header(header), {header.initiator_spi, header.responder_spi},
                      !header.from_initiator(), {{NotifyType::invalid_ike_spi, {}}}, datagram.to,
                      datagram.from, datagram.bytes.size(), for_stray_ike_, now);
  }
  if (is_sealed(header.first) || header.exchange != ExchangeType::informational) return;
  Payloads payloads;
  if (decode_payloads(header.first, Bytes(datagram.bytes).subspan(header_bytes), payloads)) return;
  const auto* invalid = payloads.notify(NotifyType::invalid_spi);
  const auto at = peers_.find(datagram.from.address);
  if (invalid == nullptr || invalid->data.size() != 4 || at == peers_.end()) return;
  const auto spi = net::load_be32(invalid->data, 0);
  for (const auto& connection : at->second) {
    const auto ids = by_connection_.find(connection->name);
    if (ids == by_connection_.end()) continue;
    for (const auto id : ids->second)
      if (ike_sa(id)->remote().address == datagram.from.address && ike_sa(id)->sends_on(spi))
        find(id)->doubt(now);
  }
}

// Of what there is to say as much as fits, the token before all.
void IkeCore::send_token(Header header, const Spis& spis, bool we_began, const std::vector<Notify>& reasons,
                         const Endpoint& from, const Endpoint& to, std::size_t most_bytes,
                         UnprotectedBudget& budget, Time now) {
  constexpr std::size_t notify_bytes = 8;  // without SPI and data
  // Who has the token of an IKE SA that there is can end it, so whichever of the two is ours.
  if (by_spi_.contains(spis.initiator) || by_spi_.contains(spis.responder)) return;
  auto left = most_bytes;
  const auto takes = [&](std::size_t bytes) {
    if (left < bytes) return false;
    left -= bytes;
    return true;
  };
  if (!takes(header_bytes + notify_bytes + CrashTokens::bytes)) return;
  if (!budget.has_room(to.address, now)) {
    ++tokens_withheld_;
    return;
  }
  const auto token = parts_.tokens.make(spis, we_began ? spis.initiator : spis.responder);
  if (!token) return;
  budget.took(to.address, now);
  PayloadWriter payloads;
  for (const auto& reason : reasons)
    if (takes(notify_bytes + reason.data.size())) payloads.add(reason);
  payloads.add(Notify{NotifyType::quick_crash_detection, *token, ProtocolId::ike});
  header.initiator_spi = spis.initiator;
  header.responder_spi = spis.responder;
  act(SendDatagram{from, to, write_message(header, payloads)});
  ++tokens_sent_;
}

void IkeCore::on(const LostSpi& event, Time now) {
  std::array<std::uint8_t, 4> spi;
  net::store_be32(spi, 0, event.spi);
  Header header;
  header.exchange = ExchangeType::informational;
  header.flags = event.we_began ? flag_initiator : std::uint8_t{0};
  send_token(header, event.ike_sa, event.we_began,
             {{NotifyType::invalid_ike_spi, {}}, {NotifyType::invalid_spi, spi}}, event.from, event.to,
             event.most_bytes, for_stray_esp_, now);
}

void IkeCore::note_peer_restart(const IkeSa& sa, Time now) {
  const auto found = records_.find(sa.connection()->name);
  if (found == records_.end()) return;
  ++found->second.peer_restarts.count;
  found->second.peer_restarts.last = now;
}

void IkeCore::lost_by_peer(const IkeSa& sa, Time now) {
  note_peer_restart(sa, now);
  const auto found = records_.find(sa.connection()->name);
  if (found == records_.end() || found->second.connection != sa.connection()) return;
  auto& record = found->second;
  if (!record.connection->local || !record.connection->remote) return;  // the peer begins
  for (const auto& child : sa.children())
    if (!child.delete_wanted || child.make_again) record.demanded.insert(child.configuration->name);
  try_again(record, now);
}

}  // namespace espgate::ike
