// How traffic with an unusable SPI is brought to flow again, by whoever talks to peers.
#pragma once

#include <cstdint>
#include <string_view>

#include "control/sa/moment.hpp"
#include "datapath/sa/spi_miss.hpp"

namespace espgate::recovery {

// What was done about it.
enum class Repair : std::uint8_t {
  none,       // nothing is wrong that could be repaired
  told,       // the peer was told by the IKE SA with it, and a child SA is made if there is none
  begun,      // an IKE SA with the peer was begun
  token,      // the peer, which alone can begin, was sent a token by which it knows that it has to (RFC 6290)
  queued,     // such a token goes out as soon as it can: when a reload is over, or the neighbour is known
  under_way,  // one was being begun already
  only_peer,  // only the peer can begin
  no_ike,     // no connection with the peer negotiates
  terminated,  // by an operator
  turned_off,  // the connection says so
  limited,     // too much of it lately
};
inline constexpr std::size_t repair_count = 11;
// Traffic flows again if the peer does what it should.
constexpr bool helps(Repair repair) {
  return repair == Repair::told || repair == Repair::begun || repair == Repair::token ||
         repair == Repair::queued || repair == Repair::under_way;
}
// Something went out for it, or is about to.
constexpr bool sends(Repair repair) {
  return helps(repair) && repair != Repair::under_way;
}
std::string_view name(Repair repair);  // for log lines: "the peer was told"

struct Repairer {
  virtual ~Repairer() = default;
  // The peer of that connection, or else of one with the source's address, sent this with an SPI of nobody's.
  // `connection` may be empty, or have left the configuration.
  virtual Repair repair(std::string_view connection, const sa::SpiMiss& miss, Moment now) = 0;
};

}  // namespace espgate::recovery
