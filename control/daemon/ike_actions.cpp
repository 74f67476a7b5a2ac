// IkeService: what the protocol core wants done.
#include <fmt/format.h>
#include <openssl/crypto.h>

#include <algorithm>

#include "control/daemon/ike_datagrams.hpp"
#include "control/daemon/ike_service.hpp"
#include "control/daemon/log.hpp"
#include "control/daemon/standing.hpp"

namespace espgate::daemon {
namespace {

constexpr std::size_t lines_kept = 16;  // of each connection, for `explain`

}  // namespace

// Lost like any datagram when there is no buffer: it is sent again.
void IkeService::act(const ike::SendDatagram& action, Moment now) {
  const auto packet = ike_packet(action);
  const bool is_sent = !packet.empty() && parts_.path.send(packet);
  if (is_sent) late_.sent(action.to.address, packet, now.steady);
  log_message(is_sent ? "to" : "not sent to", action.to, action.bytes, now);
}

bool IkeService::may_tell_step(Moment now) {
  return ike_log().should_log(spdlog::level::debug) && step_lines_.take(now.steady);
}

void IkeService::log_message(std::string_view way, const ike::Endpoint& peer, ike::Bytes message,
                             Moment now) {
  if (may_tell_step(now))
    ike_log().debug("{} {}: {}", way, ike::to_string(peer), describe_ike_message(message));
}

void IkeService::act(const ike::RunWork& action, Moment now) {
  static_assert(ike::urgency_count <= WorkThreads::line_count);
  const auto accepted = work_.submit(static_cast<std::size_t>(action.urgency), action.run,
                                     [this, ticket = action.ticket](bool done) {
                                       feed(ike::WorkFinished{ticket, done}, daemon::now());
                                     });
  if (!accepted) feed(ike::WorkFinished{action.ticket, false}, now);
}

std::optional<std::uint32_t> IkeService::reserve_spi(const std::string& connection) {
  const auto spi = parts_.sas.allocate_spi();
  if (!spi) return std::nullopt;
  if (const auto reserved = parts_.sas.reserve(connection, *spi, now_); !reserved) {
    ike_log().error("connection {}: {}", connection, reserved.error().text());
    return std::nullopt;
  }
  inbound_[*spi].connection = connection;
  return *spi;
}

// What was negotiated, and what the configuration says of packets.
std::optional<sa::SaParameters> IkeService::parameters(const ike::ChildSaParameters& child) const {
  const auto known = connections_.find(child.child);
  if (known == connections_.end()) return std::nullopt;  // it left the configuration meanwhile
  const auto& settings = known->second.settings;
  sa::SaParameters result;
  result.spi = child.spi;
  result.suite = child.suite;
  result.keymat = child.keymat.bytes();
  result.local = child.local.address;
  result.remote = child.remote.address;
  result.mode = child.transport ? sa::Mode::transport : sa::Mode::tunnel;
  result.outer = settings.outer;
  result.tfc_bytes = child.transport || !child.tfc_padding ? std::uint16_t{0} : settings.tfc_bytes;
  result.track_peer = settings.follow_peer;
  result.encapsulation = child.udp_encapsulation ? sa::Encapsulation::udp : sa::Encapsulation::none;
  result.any_encapsulation = true;
  result.local_port = child.local.port;
  result.remote_port = child.remote.port;
  result.extended_sequence = child.extended_sequence;
  result.window_packets = settings.replay_window_packets;
  result.selectors = child.selectors;
  result.lifetime = settings.lifetime;
  return result;
}

// The core deletes the child and makes it again, later each time.
void IkeService::refused(const std::string& connection, std::uint32_t inbound_spi, std::string_view direction,
                         const Error& error, Moment now) {
  auto why = fmt::format("its {} SA was not installed: {}", direction, error.text());
  auto& known = connections_.at(connection);
  tell(known, spdlog::level::err, fmt::format("connection {}: {}", connection, why), now);
  known.down_because = why;
  known.down_since = now.steady;
  feed(ike::InstallFailed{inbound_spi, std::move(why), error.is_shortage}, now);
}

void IkeService::act(const ike::InstallInbound& action, Moment now) {
  auto wanted = parameters(action.sa);
  if (!wanted) return;
  const auto connection = come(action.sa, now);
  const auto installed = connection ? parts_.sas.install_inbound(*wanted, now, sa::Predecessor::stays)
                                    : Expected<void>(connection.error());
  OPENSSL_cleanse(wanted->keymat.data(), wanted->keymat.size());
  if (!installed) {
    if (connection) go_if_empty(*connection, now);
    return refused(action.sa.child, action.sa.spi, "inbound", installed.error(), now);
  }
  auto& spi = inbound_[action.sa.spi];
  spi = {*connection, parts_.store.find(action.sa.spi), 0};
  if (const auto of_many = peers_.find(*connection); of_many != peers_.end()) ++of_many->second.inbound_sas;
  unheard_.push_back(action.sa.spi);
}

void IkeService::act(const ike::InstallOutbound& action, Moment now) {
  auto wanted = parameters(action.sa);
  const auto* connection = connection_of(action.sa.child, action.sa.peer);
  if (!wanted || connection == nullptr) return;
  const auto inbound = inbound_.find(action.inbound_spi);
  const bool has_inbound = inbound != inbound_.end() && inbound->second.index != sa::no_sa;
  const auto installed = has_inbound ? parts_.sas.install_outbound(*connection, *wanted, now)
                                     : Expected<void>(Error{"there is no inbound SA for it", ""});
  OPENSSL_cleanse(wanted->keymat.data(), wanted->keymat.size());
  if (!installed) {
    if (has_inbound) refused(action.sa.child, action.inbound_spi, "outbound", installed.error(), now);
    // What the child went out by until now is deleted at the peer.
    if (const auto used = in_use_.find(*connection); used != in_use_.end())
      act(ike::RetireOutbound{action.sa.connection, action.sa.child, used->second.outbound_spi,
                              connections_.at(action.sa.child).down_because, action.sa.peer},
          now);
    return;
  }
  if (!action.sa.tfc_padding && connections_.at(action.sa.child).settings.tfc_bytes != 0)
    tell(connections_.at(action.sa.child), spdlog::level::warn,
         fmt::format("connection {}: the peer takes no TFC padding, so tfc-padding has no effect",
                     *connection),
         now);
  if (in_use_.insert_or_assign(*connection, InUse{action.inbound_spi, action.sa.spi}).second)
    went_up(action, *connection, now);
  else
    ike_log().debug("connection {} has new keys: SPIs {} in, {} out", *connection,
                    sa::spi_text(action.inbound_spi), sa::spi_text(action.sa.spi));
}

// The SPI may have gone already, with a hard lifetime or a reload.
void IkeService::act(const ike::RetireInbound& action, Moment now) {
  const auto known = inbound_.extract(action.inbound_spi);
  if (action.replaced)
    (void)parts_.sas.supersede_inbound(action.inbound_spi, now);
  else
    (void)parts_.sas.retire_inbound(action.inbound_spi, sa::Reason::deleted, now);
  if (parts_.spi_journal != nullptr) say_if_unwritten(parts_.spi_journal->end(action.inbound_spi));
  if (known.empty()) return;
  const auto of_many = peers_.find(known.mapped().connection);
  if (of_many == peers_.end() || known.mapped().index == sa::no_sa) return;
  --of_many->second.inbound_sas;
  go_if_empty(of_many->first, now);
}

// Another may be in use already, or it has gone with a hard lifetime or by command.
void IkeService::act(const ike::RetireOutbound& action, Moment now) {
  const auto* connection = connection_of(action.child, action.peer);
  if (connection == nullptr) return;
  if (parts_.sas.current_outbound_spi(*connection) == action.spi)
    (void)parts_.sas.retire_outbound(*connection, sa::Reason::deleted, now);
  const auto used = in_use_.find(*connection);
  if (used == in_use_.end() || used->second.outbound_spi != action.spi) return;
  in_use_.erase(used);
  went_down(action, *connection, now);
  go_if_empty(*connection, now);
}

void IkeService::act(const ike::MoveChild& action, Moment now) {
  parts_.sas.peer_moved(action.inbound_spi, action.remote.address, action.remote.port, now);
}

void IkeService::act(const ike::KeepNatMapping& action, Moment) {
  (void)parts_.path.send(nat_keepalive_packet(action.from, action.to));  // the next is due soon
}

void IkeService::act(const ike::TakeAddresses& action, Moment) {
  const auto known = connections_.find(action.connection);
  if (known != connections_.end() && parts_.assigned != nullptr)
    parts_.assigned->take(known->second.settings.local, action.addresses);
}

void IkeService::act(const ike::DropAddresses& action, Moment) {
  if (parts_.assigned != nullptr) parts_.assigned->drop(action.addresses);
}

// A rekey that failed leaves what is up as it is.
void IkeService::act(const ike::AttemptFailed& action, Moment now) {
  const auto known = connections_.find(action.child.empty() ? action.connection : action.child);
  if (known == connections_.end() || is_stopping_) return;  // it left the configuration, or we leave
  const auto is_up = [&](const std::string& child) {
    const auto* name = connection_of(child, action.peer);
    return name != nullptr && in_use_.contains(*name);
  };
  const auto& children = known->second.handle->children;
  if (action.child.empty() ? std::ranges::all_of(children, is_up, &ike::ChildConfiguration::name)
                           : is_up(action.child))
    return;
  const auto& settings = known->second.settings;
  if (!failures_.take(who(settings, action.remote.address), action.reason, now.steady)) return;
  auto text = action.reason;
  if (settings.any_peer)
    text = action.peer ? no_child_text(action.remote, text)
                       : fmt::format("{}: {}", ike::to_string(action.remote), text);
  const auto* name = connection_of(known->first, action.peer);
  parts_.journal.add(EventKind::connection_failed, name == nullptr ? known->first : *name, std::move(text),
                     now);
}

void IkeService::act(const ike::LogLine& action, Moment now) {
  if (action.level == ike::Level::debug && !may_tell_step(now)) return;
  const auto level = action.level == ike::Level::debug         ? spdlog::level::debug
                     : action.level == ike::Level::information ? spdlog::level::info
                                                               : spdlog::level::warn;
  const auto known = connections_.find(action.connection);
  if (known == connections_.end())
    ike_log().log(level, action.text);
  else
    tell(known->second, level, action.text, now);
}

// Steps are for who follows the log: kept, they would soon be all that is.
void IkeService::tell(Known& known, spdlog::level::level_enum level, std::string text, Moment now) {
  ike_log().log(level, text);
  if (level < spdlog::level::info) return;
  if (known.lines.size() == lines_kept) known.lines.pop_front();
  known.lines.push_back({now, std::move(text)});
}

std::string IkeService::who(const config::Connection& connection, const net::Address& peer) {
  return connection.any_peer ? fmt::format("{} {}", connection.name, net::to_string(peer)) : connection.name;
}

void IkeService::went_up(const ike::InstallOutbound& action, const std::string& connection, Moment now) {
  const auto& outbound = action.sa;
  auto& known = connections_.at(outbound.child);
  known.down_because.clear();
  known.is_terminated = false;
  failures_.forget(who(known.settings, outbound.remote.address));
  failures_.forget(outbound.connection);  // its IKE SA
  auto text = fmt::format("up with {}{}: {}, SPIs {} in, {} out",
                          outbound.peer ? fmt::format("{} at ", ike::to_string(*outbound.peer)) : "",
                          net::to_string(outbound.remote.address), crypto::suite(outbound.suite).name,
                          sa::spi_text(action.inbound_spi), sa::spi_text(outbound.spi));
  tell(known, spdlog::level::info, fmt::format("connection {} is {}", connection, text), now);
  parts_.journal.add(EventKind::connection_up, connection, std::move(text), now);
}

void IkeService::went_down(const ike::RetireOutbound& action, const std::string& connection, Moment now) {
  const auto known = connections_.find(action.child);
  if (known == connections_.end() || is_stopping_) return;  // it left the configuration, or we leave
  auto because = action.reason.empty() ? "its IKE SA was closed" : action.reason;
  // That one of many went is no matter of the connection's.
  if (!action.peer) {
    auto& reason = known->second.down_because;
    if (reason.empty()) {
      reason = because;
      known->second.down_since = now.steady;
    }
    because = reason;
    failures_.note(action.child, because, now.steady);  // told here
  }
  tell(known->second, spdlog::level::warn, fmt::format("connection {} is down: {}", connection, because),
       now);
  parts_.journal.add(EventKind::connection_down, connection, because, now);
}

}  // namespace espgate::daemon
