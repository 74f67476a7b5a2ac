#include "control/daemon/ike_history.hpp"

#include <fmt/format.h>

#include "control/ike/describe.hpp"
#include "datapath/sa/sa_parameters.hpp"

namespace espgate::daemon {
namespace {

// A message in parts counts once, by the first of them (RFC 7383 2.5).
bool is_later_part(const ike::Header& header, ike::Bytes datagram) {
  constexpr std::size_t number_at = ike::header_bytes + ike::payload_header_bytes;
  if (header.first != ike::PayloadType::encrypted_fragment || datagram.size() < number_at + 2) return false;
  return datagram[number_at] != 0 || datagram[number_at + 1] != 1;
}

}  // namespace

void IkeHistory::note(const ike::Event& event, Moment now) {
  if (const auto* datagram = std::get_if<ike::DatagramReceived>(&event))
    message(datagram->from.address, datagram->bytes, false, now);
}

void IkeHistory::note(const ike::Action& action, Moment now) {
  if (const auto* datagram = std::get_if<ike::SendDatagram>(&action)) {
    message(datagram->to.address, datagram->bytes, true, now);
  } else if (const auto* inbound = std::get_if<ike::InstallInbound>(&action)) {
    by_inbound_spi_.insert_or_assign(inbound->sa.spi, inbound->sa.remote.address);
  } else if (const auto* outbound = std::get_if<ike::InstallOutbound>(&action)) {
    Line line{.what = Line::What::made, .first = now, .last = now};
    line.inbound_spi = outbound->inbound_spi;
    line.outbound_spi = outbound->sa.spi;
    add(admitted(outbound->sa.remote.address), line);
  } else if (const auto* retired = std::get_if<ike::RetireInbound>(&action)) {
    const auto known = by_inbound_spi_.extract(retired->inbound_spi);
    if (known.empty()) return;
    Line line{
        .what = retired->replaced ? Line::What::replaced : Line::What::deleted, .first = now, .last = now};
    line.inbound_spi = retired->inbound_spi;
    add(admitted(known.mapped()), line);
  }
}

std::vector<recovery::HistoryLine> IkeHistory::of(const net::Address& peer) const {
  std::vector<recovery::HistoryLine> lines;
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return lines;
  for (const auto& line : found->second.lines) lines.push_back(describe(line));
  return lines;
}

IkeHistory::Peer* IkeHistory::known(const net::Address& address) {
  const auto found = peers_.find(address);
  if (found == peers_.end()) return is_peer_(address) ? &admitted(address) : nullptr;
  order_.splice(order_.begin(), order_, found->second.place);
  return &found->second;
}

IkeHistory::Peer& IkeHistory::admitted(const net::Address& address) {
  const auto [entry, is_new] = peers_.try_emplace(address);
  if (!is_new) {
    order_.splice(order_.begin(), order_, entry->second.place);
    return entry->second;
  }
  order_.push_front(address);
  entry->second.place = order_.begin();
  if (peers_.size() > most_peers) {
    peers_.erase(order_.back());
    order_.pop_back();
  }
  return entry->second;
}

void IkeHistory::add(Peer& peer, Line line) {
  if (peer.lines.size() == lines_each) peer.lines.pop_front();
  peer.lines.push_back(line);
}

// Among those since the last SA that came or went, or further back the very same exchange: who answers has
// made the SA by then. There are few kinds, so the search is short.
IkeHistory::Line* IkeHistory::exchange_in(Peer& peer, const ike::Header& header, bool we_began) {
  bool is_older = false;
  for (auto line = peer.lines.rbegin(); line != peer.lines.rend(); ++line) {
    if (line->what != Line::What::exchange) {
      is_older = true;
    } else if (line->exchange == header.exchange && line->we_began == we_began) {
      return is_older && !is_of(*line, header) ? nullptr : &*line;
    }
  }
  return nullptr;
}

bool IkeHistory::is_of(const Line& line, const ike::Header& header) {
  return line.message_id == header.message_id && line.initiator_spi == header.initiator_spi;
}

void IkeHistory::message(const net::Address& address, ike::Bytes datagram, bool from_us, Moment now) {
  ike::Header header;
  if (ike::decode_header(datagram, header) || ike::describe(header.exchange).empty()) return;
  if (is_later_part(header, datagram)) return;
  auto* peer = known(address);
  if (peer == nullptr) return;
  const bool we_began = from_us != header.is_response();
  auto* line = exchange_in(*peer, header, we_began);
  const bool same = line != nullptr && is_of(*line, header);
  if (header.is_response()) {
    if (!same || line->last_answered) return;
    line->last_answered = true;
    line->last = now;
    ++line->answered;
    return;
  }
  // An IKE_SA_INIT that was answered may come again, with a COOKIE or another group.
  if (same && !(line->last_answered && header.exchange == ike::ExchangeType::ike_sa_init)) {
    line->last = now;
    ++line->repeated;
    return;
  }
  if (line == nullptr) {
    Line fresh{.first = now, .last = now};
    fresh.exchange = header.exchange;
    fresh.we_began = we_began;
    add(*peer, fresh);
    line = &peer->lines.back();
  }
  line->last = now;
  line->message_id = header.message_id;
  line->initiator_spi = header.initiator_spi;
  line->last_answered = false;
  ++line->begun;
}

recovery::HistoryLine IkeHistory::describe(const Line& line) {
  const auto told = [&](std::string event, std::string detail) {
    return recovery::HistoryLine{line.first.wall, line.last.wall, std::move(event), std::move(detail)};
  };
  switch (line.what) {
    case Line::What::exchange:
      return told("exchange", fmt::format("{} begun by {}: {} begun, {} answered, {} repeated",
                                          ike::describe(line.exchange), line.we_began ? "us" : "the peer",
                                          line.begun, line.answered, line.repeated));
    case Line::What::made:
      return told("SA made", fmt::format("SPIs {} in, {} out", sa::spi_text(line.inbound_spi),
                                         sa::spi_text(line.outbound_spi)));
    case Line::What::replaced:
      return told("SA replaced", fmt::format("SPI {} in, by a rekey", sa::spi_text(line.inbound_spi)));
    case Line::What::deleted:
      break;
  }
  return told("SA deleted", fmt::format("SPI {} in", sa::spi_text(line.inbound_spi)));
}

}  // namespace espgate::daemon
