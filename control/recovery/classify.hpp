// Why a packet's SPI led to no active SA: a pure function of what the worker saw and what control knows.
//
// meaning of each class
//   larval        The SPI is ours and its SA was not in place yet when the packet came. Normal for
//                 moments in a rekey, when the peer is quicker than we are.
//   just_rekeyed  The SPI was ours; another SA took over and the time is over in which both were accepted.
//                 Normal for moments; afterwards the peer has not followed the rekey.
//   deleted       The SPI was ours; its SA was deleted here. The peer has not heard of it.
//   expired       The SPI was ours; its SA reached the end of its lifetime.
//   before_restart  An earlier process had an SA with it. The peer has not heard that it ended.
//   never_issued  A configured peer sends an SPI that we never gave it, as far as memory reaches: the two
//                 sides are configured differently, or the peer sends to an SA of another box.
//   peer_moved    The SPI's SA is active, but for another address, port or encapsulation of its peer, who
//                 may not be followed: a NAT on the way chose anew, or the peer moved. (Where follow-peer
//                 allows it, such packets are taken, and never come here.)
//   wrong_destination  Not meant for here: the SPI is one that we send with, so that our own packets come
//                 back, or those of a peer whose file has the same SPIs; or its SA is for another address of
//                 ours.
//   stranger      An unknown SPI from an address that no connection names. Nothing is known to be wrong here.
//   flood         One that is never_issued, peer_moved or of a stranger while more of them begin a
//                 second than peers in trouble would make.
//
// What is known of the SPI weighs more than who sent the packet: a retired SPI is explained alike whether
// its peer is still configured or not. A worker's view is older than control's, so when the two differ
// ("not found" then, active now) the later state tells what the packet was early or late for.
#pragma once

#include <cstdint>
#include <string_view>

#include "control/sa/spi_knowledge.hpp"
#include "datapath/sa/spi_miss.hpp"

namespace espgate::recovery {

enum class Class : std::uint8_t {
  larval,
  just_rekeyed,
  deleted,
  expired,
  before_restart,
  never_issued,
  peer_moved,
  wrong_destination,
  stranger,
  flood,
};
inline constexpr std::size_t class_count = 10;

struct Evidence {
  sa::Miss miss = sa::Miss::not_found;                                // what the worker saw
  sa::SpiFacts::Standing standing = sa::SpiFacts::Standing::unknown;  // what control knows now
  sa::Reason reason = sa::Reason::deleted;                            // with standing retired
  bool known_peer = false;                                            // a connection names the source
  bool flood = false;                                                 // the flow began in one
  bool other_destination = false;  // with standing active: the SA is for another address of ours
};

Class classify(const Evidence& evidence);
std::string_view name(Class kind);  // "never issued"
// What an operator does about it.
std::string_view remedy(Class kind);

}  // namespace espgate::recovery
