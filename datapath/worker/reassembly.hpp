// Fragments made whole before anything else looks at them (RFC 791 3.2, RFC 8200 4.5): outer ones to us, and
// those that policies, or an SA's selectors, judge by ports. Each datagram has one large buffer from its
// first fragment on, into which fragments are copied as they come: in any order, of any number, and received
// buffers go back at once.
//
// What arrived twice with the same bytes is ignored; anything else that overlaps gives up the datagram, and
// what still comes of it is dropped until its time is over (RFC 5722 4). When all places are taken the oldest
// datagram is given up, so that a flood of first fragments cannot keep others out for long.
//
// The time is short, seconds where RFC 791 and RFC 8200 have 15 and 60: a tunnel's fragments travel together,
// and at high rates an identification comes back within seconds (RFC 4963).
#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <cstdint>
#include <vector>

#include "datapath/net/address.hpp"
#include "datapath/parse/frame.hpp"
#include "datapath/verdict/verdict.hpp"

struct rte_mbuf;
struct rte_mempool;

namespace espgate::worker {

// What a pool of large buffers is made with: the most an mbuf can hold.
inline constexpr std::uint16_t large_buffer_bytes = 65'472;

// Where a fragment was met: those met elsewhere are of another datagram.
struct Within {
  enum class What : std::uint8_t {
    clear,
    out_of_sa,
    into_sa,
    into_link,  // of a tunnel
  };
  What what = What::clear;
  std::uint64_t owner = 0;  // of the SA: a datagram may straddle a rekey; or the link's number
};

// One thread.
class Reassembly {
 public:
  // `flows` datagrams at once, each for up to `timeout_tsc`. `large_buffers` may be nullptr: every fragment
  // is refused then.
  Reassembly(std::uint32_t flows, std::uint64_t timeout_tsc, rte_mempool* large_buffers);
  ~Reassembly();
  Reassembly(const Reassembly&) = delete;
  Reassembly& operator=(const Reassembly&) = delete;

  struct Result {
    Verdict verdict = Verdict::REASSEMBLY_PART;  // of the fragment, which stays the caller's
    // The frame that it completed, now the caller's; hash.usr is how large its largest fragment was, from the
    // IP header on.
    rte_mbuf* whole = nullptr;
  };
  // Takes a frame that was parsed as a fragment, or a packet.
  Result add(const rte_mbuf& frame, const parse::FrameInfo& info, std::uint64_t now_tsc, Within within = {});

  // Gives up what is too old. Cheap while nothing is.
  void expire(std::uint64_t now_tsc) {
    while (oldest_ != nobody && now_tsc - flows_[oldest_].started_tsc >= timeout_tsc_)
      give_up(flows_[oldest_]);
  }
  // Datagrams given up unfinished since the last call.
  unsigned take_given_up(net::Family family);
  unsigned held() const {
    return held_.load(std::memory_order_relaxed);
  }  // datagrams that have a buffer; any thread

 private:
  // The payload begins here in a buffer, whatever the headers' length, which only the first fragment tells.
  static constexpr std::size_t payload_at = 384;
  static constexpr std::size_t payload_max = large_buffer_bytes - payload_at;

  struct Key {
    std::array<std::uint8_t, 32> addresses{};  // as in the IP header; IPv4 uses eight bytes
    std::uint64_t owner = 0;
    std::uint32_t identification = 0;
    Within::What within = Within::What::clear;
    std::uint8_t protocol = 0;  // IPv4
    net::Family family = net::Family::v4;
    std::uint8_t unused = 0;
    bool operator==(const Key&) const = default;
  };
  static constexpr std::uint32_t nobody = ~std::uint32_t{0};
  struct Flow {
    Key key;
    rte_mbuf* buffer = nullptr;  // nullptr: given up because of an overlap
    std::uint64_t started_tsc = 0;
    std::uint32_t next = nobody;  // in its bucket, or of those that are free
    std::uint32_t older = nobody;
    std::uint32_t newer = nobody;
    std::size_t header_bytes = 0;  // of IP, before the payload; 0: not seen
    std::size_t end = 0;           // of what has arrived
    std::size_t total = 0;         // payload bytes; 0: not known
    unsigned units = 0;            // of eight bytes, arrived
    std::uint8_t congestion_seen = 0;
    std::size_t largest_part = 0;  // bytes, with its own header
    std::bitset<payload_max / 8> arrived{};
  };
  struct Part;

  static Verdict read(const rte_mbuf& frame, const parse::FrameInfo& info, Part& part);
  std::size_t bucket_of(const Key& key) const;
  std::uint32_t find(const Key& key) const;  // nobody: there is none
  Flow* begin(const Key& key, std::uint64_t now_tsc);
  Result place(Flow& flow, const Part& part, const rte_mbuf& frame);
  static bool take_header(Flow& flow, const Part& part, const rte_mbuf& frame);
  rte_mbuf* finish(Flow& flow, const Part& part, const rte_mbuf& frame);
  void give_up(Flow& flow);
  void release(Flow& flow);
  void count_held(int change) {
    held_.store(held() + static_cast<unsigned>(change), std::memory_order_relaxed);
  }

  std::uint64_t timeout_tsc_;
  rte_mempool* large_buffers_;
  std::uint32_t hash_seed_;  // so that nobody can choose identifications that share a bucket
  std::vector<Flow> flows_;
  std::vector<std::uint32_t> buckets_;  // a power of two; the first flow of each
  std::uint32_t free_ = nobody;
  std::uint32_t oldest_ = nobody;  // all have the same time, so they end in the order in which they began
  std::uint32_t newest_ = nobody;
  std::atomic<unsigned> held_{0};  // flows with a buffer; written here alone
  std::array<unsigned, 2> given_up_{};
};

}  // namespace espgate::worker
