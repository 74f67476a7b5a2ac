// What IKE does about SPIs of nobody's that peers send with.
#include <utility>

#include "control/daemon/ike_service.hpp"

namespace espgate::daemon {

recovery::Repair IkeService::repair(std::string_view connection, const net::Address& peer_address,
                                    std::uint32_t spi, Moment now) {
  using Reach = ike::IkeCore::Reach;
  using recovery::Repair;
  std::string name(connection);
  // One that had the SPI before a restart may be gone.
  if (!known(name)) name = parts_.sas.connection_of_peer(peer_address);
  if (!known(name)) return Repair::no_ike;
  const auto* of_many = peer(name);
  const auto& child = of_many == nullptr ? name : of_many->connection;
  const auto allowed = connections_.at(child).settings.invalid_spi_recovery;
  if (allowed == config::InvalidSpiRecovery::off) return Repair::turned_off;
  const bool may_begin = allowed == config::InvalidSpiRecovery::full;
  auto place = place_of(name);
  const auto reach = core_.reach(place.connection, place.peer);
  if (reach == Reach::impossible) return Repair::only_peer;
  if (reach == Reach::possible && !may_begin) return Repair::turned_off;
  feed(ike::InvalidSpi{std::move(place.connection), child, std::move(place.peer), spi, may_begin}, now);
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

}  // namespace espgate::daemon
