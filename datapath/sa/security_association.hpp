// The SAs as workers see them. Control writes an entry before it publishes the SPI (inbound: in the SA
// table; outbound: in a policy) and never again while a worker may read it, but for the atomics.
#pragma once

#include <atomic>
#include <cstdint>

#include "datapath/crypto/engine.hpp"
#include "datapath/net/address.hpp"
#include "datapath/sa/replay_window.hpp"
#include "datapath/sa/selector.hpp"

namespace espgate::sa {

// RFC 4303 2.1: SPIs 1 to 255 are reserved by IANA, 0 is for local use; no SA may have one.
inline constexpr std::uint32_t first_usable_spi = 256;

enum class State : std::uint8_t {
  larval,  // SPI allocated, no key yet: packets are early, not wrong
  active,
  retired,  // tombstone: deleted, expired or rekeyed; kept so that late packets are recognised
  expired,  // past its hard lifetime, whether retired yet or not
};

enum class Mode : std::uint8_t { tunnel, transport };

// What sequence numbers end with (RFC 4303 2.2), extended ones or not.
constexpr std::uint64_t last_sequence(bool extended) {
  return extended ? ~std::uint64_t{0} : 0xffff'ffff;
}

enum class Encapsulation : std::uint8_t { none, udp };  // udp: RFC 3948

// Line 0 is read-only once published (but for `state`); line 1 holds what workers write and what only
// good packets reach.
struct alignas(64) InboundSa {
  std::uint32_t spi;  // host order
  std::atomic<State> state;
  crypto::SuiteId suite;
  Encapsulation encapsulation;
  net::Family outer_family;
  std::uint8_t salt[4];    // at the end, if the suite has less
  bool extended_sequence;  // ESN, RFC 4304
  std::uint8_t selector_count;
  std::uint16_t remote_port;  // udp encapsulation: the peer's, host order
  crypto::PreparedKey key;
  ReplayCell* cells;
  std::uint8_t source[16];       // outer addresses, network order: the peer
  std::uint8_t destination[16];  // ... and ours

  std::atomic<std::uint64_t> top;  // highest sequence number accepted
  std::uint32_t window_packets;    // 0: anti-replay off
  std::uint32_t cell_mask;
  const MoreSelectors* more;  // nullptr: there are none but the inline one
  // A packet that matches none is dropped after decryption. In transport mode `source` is the peer's address
  // as policies have it, wherever it is now, and also if that is all there is to this selector.
  Selector selector;
  Mode mode;
  bool track_peer;  // control may change `source` and `remote_port` while workers read (see peer_address.hpp)
  bool limited;     // has a lifetime: see its Allowance
  bool any_encapsulation;
};
static_assert(sizeof(InboundSa) == 128);

// Which outer header fields depend on the packet, beside DSCP and ECN.
struct OuterChoice {
  bool copy_df : 1;     // IPv4: the template's DF is clear, and set if the inner packet's is
  bool flow_label : 1;  // IPv6: made from the inner flow
};
static_assert(sizeof(OuterChoice) == 1);

// What path_mtu says until control knows better: anything an IP packet can be.
inline constexpr std::uint16_t path_mtu_unknown = 0xffff;

// As tfc_bytes: to as many as the path takes.
inline constexpr std::uint16_t tfc_to_path_mtu = 0xffff;

// Line 0: counters and key; line 1: the outer headers to prepend.
struct alignas(64) OutboundSa {
  std::atomic<std::uint64_t> sequence;        // last one claimed; the next packet takes sequence + 1
  std::atomic<std::uint64_t> sequence_limit;  // last usable; control may lower it
  std::uint64_t iv_base;                      // IV = iv_base + sequence; unique over restarts (see IvBases)
  crypto::PreparedKey key;
  std::uint32_t spi;
  std::atomic<State> state;
  crypto::SuiteId suite;
  Encapsulation encapsulation;
  net::Family outer_family;
  std::uint8_t salt[4];
  bool extended_sequence;
  std::uint8_t headers_bytes;       // IP + [UDP] + ESP header in `headers`: 28, 36, 48 or 56
  std::uint8_t traffic_class_mask;  // bits of DSCP and ECN that are copied from the inner packet
  OuterChoice outer;
  Mode mode;
  bool track_peer;                      // as inbound: control may change the destination in `headers`
  std::atomic<std::uint16_t> path_mtu;  // of the outer packet, IP header included; control writes
  // Inner packets are padded to a multiple of it, as far as the path takes (RFC 4303 2.7). 0: they are not.
  std::uint16_t tfc_bytes;
  bool limited;  // has a lifetime: see its Allowance
  std::uint8_t unused;
  const MoreSelectors* selectors;  // nullptr: anything, or what policies bring

  std::uint8_t headers[64];  // lengths, checksum, DSCP/ECN, sequence number to be filled in
};
static_assert(sizeof(OutboundSa) == 128);

// What was done under an SA, one of these for each worker and SA, so that no worker waits for another.
// The worker is the only writer; anybody may read.
struct alignas(32) Usage {
  std::atomic<std::uint64_t> packets;
  std::atomic<std::uint64_t> bytes;     // inner packet bytes
  std::atomic<std::uint64_t> last_tsc;  // when the burst of the last of them began
};

}  // namespace espgate::sa
