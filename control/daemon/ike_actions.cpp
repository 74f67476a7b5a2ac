// IkeService: what the protocol core wants done.
#include <fmt/format.h>
#include <openssl/crypto.h>

#include "control/daemon/ike_datagrams.hpp"
#include "control/daemon/ike_service.hpp"
#include "control/daemon/log.hpp"
#include "control/daemon/services.hpp"

namespace espgate::daemon {
namespace {

constexpr std::size_t lines_kept = 16;  // of each connection, for `explain`

}  // namespace

// Lost like any datagram when there is no buffer: it is sent again.
void IkeService::act(const ike::SendDatagram& action, Moment) {
  const auto packet = ike_packet(action);
  if (packet.empty() || !parts_.path.send(packet))
    ike_log().debug("IKE message of {} bytes to {} was not sent", action.bytes.size(),
                    ike::to_string(action.to));
}

void IkeService::act(const ike::RunWork& action, Moment now) {
  const auto urgency = action.urgent ? ike::Urgency::established : ike::Urgency::newcomer;
  const auto accepted = work_.submit(urgency, action.run, [this, ticket = action.ticket](bool done) {
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
  result.tfc_bytes = child.transport ? std::uint16_t{0} : settings.tfc_bytes;
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

void IkeService::act(const ike::InstallInbound& action, Moment now) {
  auto wanted = parameters(action.sa);
  if (!wanted) return;
  const auto installed = parts_.sas.install_inbound(*wanted, now, sa::Predecessor::stays);
  OPENSSL_cleanse(wanted->keymat.data(), wanted->keymat.size());
  if (!installed) {
    ike_log().error("connection {}: inbound SA: {}", action.sa.child, installed.error().text());
    return;
  }
  auto& spi = inbound_[action.sa.spi];
  spi = {action.sa.child, parts_.store.find(action.sa.spi), 0};
  to_look_at_.push_back(action.sa.spi);
}

void IkeService::act(const ike::InstallOutbound& action, Moment now) {
  auto wanted = parameters(action.sa);
  if (!wanted) return;
  const auto installed = parts_.sas.install_outbound(action.sa.child, *wanted, now);
  OPENSSL_cleanse(wanted->keymat.data(), wanted->keymat.size());
  if (!installed) {
    ike_log().error("connection {}: outbound SA: {}", action.sa.child, installed.error().text());
    return;
  }
  if (in_use_.insert_or_assign(action.sa.child, InUse{action.inbound_spi, action.sa.spi}).second)
    went_up(action.sa, action.inbound_spi, now);
  else
    ike_log().debug("connection {} has new keys: SPIs {} in, {} out", action.sa.child,
                    sa::spi_text(action.inbound_spi), sa::spi_text(action.sa.spi));
}

// The SPI may have gone already, with a hard lifetime or a reload.
void IkeService::act(const ike::RetireInbound& action, Moment now) {
  inbound_.erase(action.inbound_spi);
  if (action.replaced)
    (void)parts_.sas.supersede_inbound(action.inbound_spi, now);
  else
    (void)parts_.sas.retire_inbound(action.inbound_spi, sa::Reason::deleted, now);
}

// Another may be in use already, or it has gone with a hard lifetime or by command.
void IkeService::act(const ike::RetireOutbound& action, Moment now) {
  if (parts_.sas.current_outbound_spi(action.child) == action.spi)
    (void)parts_.sas.retire_outbound(action.child, sa::Reason::deleted, now);
  const auto used = in_use_.find(action.child);
  if (used == in_use_.end() || used->second.outbound_spi != action.spi) return;
  in_use_.erase(used);
  went_down(action, now);
}

void IkeService::act(const ike::MoveChild& action, Moment now) {
  parts_.sas.peer_moved(action.inbound_spi, action.remote.address, action.remote.port, now);
}

void IkeService::act(const ike::TakeAddresses& action, Moment) {
  const auto known = connections_.find(action.connection);
  if (known != connections_.end() && parts_.assigned != nullptr)
    parts_.assigned->take(known->second.settings.local, action.addresses);
}

void IkeService::act(const ike::DropAddresses& action, Moment) {
  if (parts_.assigned != nullptr) parts_.assigned->drop(action.addresses);
}

void IkeService::act(const ike::LogLine& action, Moment now) {
  const auto level = action.level == ike::Level::debug         ? spdlog::level::debug
                     : action.level == ike::Level::information ? spdlog::level::info
                                                               : spdlog::level::warn;
  const auto known = connections_.find(action.connection);
  if (known == connections_.end())
    ike_log().log(level, action.text);
  else
    tell(known->second, level, action.text, now);
}

void IkeService::tell(Known& known, spdlog::level::level_enum level, std::string text, Moment now) {
  ike_log().log(level, text);
  if (known.lines.size() == lines_kept) known.lines.pop_front();
  known.lines.push_back({now, std::move(text)});
}

void IkeService::went_up(const ike::ChildSaParameters& outbound, std::uint32_t inbound_spi, Moment now) {
  auto& known = connections_.at(outbound.child);
  known.down_because.clear();
  auto text =
      fmt::format("up with {}: {}, SPIs {} in, {} out", net::to_string(outbound.remote.address),
                  crypto::suite(outbound.suite).name, sa::spi_text(inbound_spi), sa::spi_text(outbound.spi));
  tell(known, spdlog::level::info, fmt::format("connection {} is {}", outbound.child, text), now);
  parts_.journal.add(EventKind::connection_up, outbound.child, std::move(text), now);
}

void IkeService::went_down(const ike::RetireOutbound& action, Moment now) {
  const auto known = connections_.find(action.child);
  if (known == connections_.end()) return;  // it left the configuration
  auto& because = known->second.down_because;
  if (because.empty()) because = action.reason.empty() ? "its IKE SA was closed" : action.reason;
  tell(known->second, spdlog::level::warn, fmt::format("connection {} is down: {}", action.child, because),
       now);
  parts_.journal.add(EventKind::connection_down, action.child, because, now);
}

}  // namespace espgate::daemon
