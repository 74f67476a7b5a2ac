// What control knows of inbound SPIs and of peers, as far as somebody who has to explain a stray packet
// needs it. SaManager knows; the invalid-SPI handler asks.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "control/sa/moment.hpp"
#include "datapath/net/address.hpp"
#include "datapath/sa/security_association.hpp"

namespace espgate::sa {

// Why an SA was retired.
enum class Reason : std::uint8_t { deleted, expired, rekeyed };
std::string_view name(Reason reason);

// Between whom the packets of an inbound SA go, as it has them at the moment.
struct SaEnds {
  net::Address peer;
  net::Address local;
  Encapsulation encapsulation = Encapsulation::none;
  std::uint16_t peer_port = 0;  // UDP encapsulation
};

struct SpiFacts {
  enum class Standing : std::uint8_t {
    unknown,  // never ours, or so long ago that nothing is left of it
    larval,
    active,          // also the old SA of a rekey while it still accepts packets
    retired,         // a tombstone, or the memory of one
    before_restart,  // an inbound SA of an earlier process had it
    outbound,        // no inbound SA's, but we send with it
  };
  Standing standing = Standing::unknown;
  Reason reason = Reason::deleted;     // retired only
  std::uint32_t successor = 0;         // SPI that took over after a rekey; 0: none
  Moment since;                        // when it came to this standing
  std::string_view connection;         // its owner; valid until the next call that changes SAs
  std::optional<SaEnds> ends{};        // active only
  std::optional<net::Address> peer{};  // that it was given to by IKE, where it was then
};

struct SpiKnowledge {
  virtual ~SpiKnowledge() = default;
  virtual SpiFacts about(std::uint32_t spi) const = 0;
  // A connection that is configured with this remote address, empty when there is none. With several
  // peers behind one NAT it is the first of the file. Valid until the next configure.
  virtual std::string_view connection_of_peer(const net::Address& remote) const = 0;
};

}  // namespace espgate::sa
