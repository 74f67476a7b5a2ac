// One poll-mode worker, run to completion. A burst goes through each stage as a whole:
//
//   port rx ─► parse ─┬─ ESP ─► look_up ─► prepare ─► decrypt ─► accept ─┬─► decide (hub and spoke) ─┐
//                     │           └─ miss: ours? drop, count, sample     └─ replay, ICV, … : drop     │
//                     ├─ IKE to us ─► punt (ike)                                                     │
//                     ├─ to us, ARP, ND, … ─► punt (host)                                            │
//                     └─ cleartext ─► admit ─► decide ─┬─ protect ─► encapsulate ─► encrypt ─┐       │
//                                                      ├─ bypass ──────────────────────────┬─┴───────┤
//                                                      └─ discard, no policy: drop         ▼         ▼
//                                                                          forward: route, hop ─► port tx
//
// Each packet that came in leaves with one verdict. A worker never blocks, allocates from the system,
// logs or takes a lock; its only system call is the sleep of the idle policy, when configured.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "datapath/crypto/engine.hpp"
#include "datapath/forward/forwarding.hpp"
#include "datapath/net/ike_spis.hpp"
#include "datapath/policy/classifier.hpp"
#include "datapath/port/port.hpp"
#include "datapath/sa/esp_sizes.hpp"
#include "datapath/sa/sa_store.hpp"
#include "datapath/tunnel/tunnel_table.hpp"
#include "datapath/verdict/counters.hpp"
#include "datapath/worker/burst.hpp"
#include "datapath/worker/capture.hpp"
#include "datapath/worker/cutter.hpp"
#include "datapath/worker/identification.hpp"
#include "datapath/worker/punt.hpp"
#include "datapath/worker/reassembly.hpp"
#include "datapath/worker/stages.hpp"
#include "datapath/worker/trace.hpp"

struct rte_rcu_qsbr;
struct rte_mempool;

namespace espgate::worker {

// What all workers share. The daemon makes it before they start and keeps it until they have stopped.
struct Shared {
  sa::SaStore* sas = nullptr;
  forward::Forwarding* forwarding = nullptr;
  policy::Classifier* policies = nullptr;
  tunnel::TunnelTable* tunnels = nullptr;  // nullptr: there will be none
  std::array<port::Port*, port::ports_max> ports{};
  unsigned port_count = 0;
  unsigned worker_count = 1;
  PuntRings rings;
  PuntRates rates;
  net::IkeSpis ike_spis;  // control makes SPIs of IKE SAs by the same key
  rte_rcu_qsbr* readers = nullptr;
  rte_mempool* buffers = nullptr;        // for copies of packets that are not exclusively ours, and fragments
  rte_mempool* large_buffers = nullptr;  // of large_buffer_bytes, for what does not fit one of these
  // Datagrams that each worker makes whole at once of what came in clear, and as many of what was decrypted.
  std::uint32_t reassembly_flows = 0;
  std::uint64_t reassembly_timeout_tsc = 0;
  rte_mempool* capture_buffers = nullptr;
  std::uint64_t tsc_hz = 0;
  std::uint32_t idle_sleep_us = 0;  // 0: spin
  TraceRequest trace;
  CaptureRequest capture;
  std::atomic<bool> stop{false};
};

// Loops and cycles, for `show workers`.
struct Load {
  Counter busy_cycles;  // in loops that had packets
  Counter idle_cycles;
  Counter bursts;
  std::array<Counter, 8> burst_sizes;  // 1, 2-3, 4-7, … 64
  Counter spi_samples_lost;            // SPI-miss records beyond the ring or the rate limit
  // What control was not told for want of room in a ring, or of a buffer: senders to be told, peers that
  // moved, neighbours wanted, lifetimes reached. The next packet that has reason to tells it again.
  Counter notices_lost;
};

class Worker {
 public:
  // `queue` is this worker's alone.
  Worker(Shared& shared, unsigned id, std::unique_ptr<crypto::Queue> queue);

  // Until shared.stop. To be called on the worker's own thread, which must be an EAL thread.
  void run();
  // One round over all ports and the host path, for tests and benchmarks. Returns packets taken in.
  unsigned poll();
  // Takes `count` (at most burst_max) frames as if received on `port`. Owns them from here.
  void process_frames(rte_mbuf* const* frames, unsigned count, std::uint8_t port);

  unsigned id() const { return id_; }
  const PacketCounters& counters() const { return counters_; }
  const StageClock& clock() const { return clock_; }
  const Load& load() const { return load_; }
  // Datagrams whose fragments wait for others; read by any thread, so it may be a moment old.
  unsigned reassembling() const { return reassembly_.held() + decrypted_reassembly_.held(); }

 private:
  enum class Onward : std::uint8_t {  // where the pieces of a packet go
    hop,
    sa,
    selectors,  // of the SA that it came out of
    policies,
    link,  // of the tunnel that our kernel routed it into
    tunnel,
    peers,  // whole copies into the tunnel and those behind it in its chain
  };

  // The stages; each reads and writes columns of burst_ and the lanes below.
  void process();        // from a port
  void process_later();  // what comes of a burst: whole packets, and pieces
  void run_stages();
  void run_host_stages();
  void send();  // protect_, unrouted_, routed_, raw_ -> tx_
  void process_from_host();
  void process_from_control(std::uint16_t mark);
  void clear_lanes();
  void begin_row(unsigned row, std::uint8_t* l3, net::Family family);
  void parse();
  void sort_by_kind();
  void sort_link_group(unsigned row);

  void look_up();  // inbound.cpp: esp_ -> decrypted_, missed_
  void prepare_inbound();
  bool prepare_packet(unsigned row, sa::InboundSa& sa);
  void decrypt();
  void accept();
  void commit_burst();
  Verdict commit_sequence(unsigned row, sa::InboundSa& sa);
  Verdict accept_packet(unsigned row, sa::InboundSa& sa, const std::uint8_t* outer);
  Verdict selector_fault(unsigned row, const sa::InboundSa& sa) const;
  Verdict unwrap_packet(unsigned row, std::uint8_t next_header, const std::uint8_t* outer);
  void note_peer(unsigned row, const sa::InboundSa& sa, const std::uint8_t* source);

  void resolve_missed();  // missed.cpp: missed_ -> transit_
  void drop_missed(unsigned row);
  void sample_miss(unsigned row, sa::Miss miss);

  void admit_cleartext();  // cleartext.cpp: clear_ -> transit_ -> protect_, routed_
  bool is_neighbour_discovery(unsigned row) const;
  void read_flows(const Lanes& lanes);
  void judge_arrival();
  Verdict arrival_fault(unsigned row, bool local) const;
  bool is_about_our_esp(unsigned row) const;
  void look_up_policies(const Lanes& lanes);
  void match_error(unsigned row);
  std::span<const std::uint8_t> present_packet(unsigned row) const;
  void decide_transit();
  bool may_pass_on(unsigned row, policy::Decision decision) const;
  bool came_from_elsewhere(unsigned row) const;

  bool leaves_inside(const forward::Hop& hop) const;
  Lanes match_leaving(const Lanes& admitted);  // decide.cpp: -> routed_
  void leave(unsigned row);
  void decide_decrypted();  // decrypted_ -> protect_, routed_
  bool leads_back(unsigned row, policy::Decision decision) const;
  void decide_from_control();  // decrypted_ -> protect_, routed_
  void decide_dummies();       // decrypted_ -> protect_
  void decide_from_host();     // all rows -> protect_, unrouted_, raw_
  bool is_ike(unsigned row) const;
  bool may_need_protection(unsigned row) const;
  void apply_match(unsigned row, const policy::Match& match, Lanes& bypassed);
  void strip_frame(unsigned row);

  bool has_tunnels() const { return shared_.tunnels != nullptr && shared_.tunnels->in_use(); }
  void leave_tunnels();  // tunnel.cpp: decrypted_, unrouted_ -> decrypted_, unrouted_
  Verdict open_gre(unsigned row, const tunnel::Tunnel& tunnel, std::size_t gre_offset);
  void judge_sources();
  bool leads_into_tunnel(unsigned row) const {
    return shared_.forwarding->hop(hop_[row]).kind == forward::HopKind::tunnel;
  }
  void enter_tunnels();  // unrouted_, routed_ -> routed_, protect_
  void enter_tunnel(unsigned row, tunnel::Index index);
  bool fits_link(unsigned row, const forward::Hop& hop);
  bool fits_gre(unsigned row, const net::gre::Options& options, const sa::OutboundSa& sa);
  bool wrap_in_gre(unsigned row, const net::gre::Options& options, const sa::OutboundSa& sa);
  void decide_from_tunnel(tunnel::Index index);  // all rows -> protect_
  void enter_links(const Lanes& lanes);
  void copy_to_peers(unsigned row, tunnel::Index tunnel);
  tunnel::Index peer_towards(unsigned row, tunnel::Index tunnel) const;
  bool is_for_this_end(unsigned row, Verdict fault) const;
  void deliver_from_tunnel(unsigned row);
  void count_tunnel_drop(unsigned row) {
    shared_.tunnels->at(burst_.tunnel[row]).drops.fetch_add(1, std::memory_order_relaxed);
  }

  void encapsulate();  // outbound.cpp: protect_ -> unrouted_
  bool fits_selectors(unsigned row, const sa::OutboundSa& sa);
  void encapsulate_run(unsigned first, unsigned next, std::uint32_t index);
  bool encapsulate_packet(unsigned row, sa::OutboundSa& sa, std::uint64_t sequence);
  std::uint8_t* wrap_packet(unsigned row, const sa::OutboundSa& sa);
  bool add_trailer(unsigned row, const sa::OutboundSa& sa, unsigned payload_bytes, std::uint8_t protocol,
                   unsigned tfc_bytes = 0);
  void encrypt();
  void finish_udp6(unsigned row, std::uint8_t* text);

  bool within_lifetime(unsigned row, std::uint64_t bytes);  // lifetime.cpp
  void tell_lifetime(unsigned row, sa::LifetimeStage stage);
  void pin(unsigned row, Verdict verdict);

  std::uint8_t* insert_esp(unsigned row, const sa::OutboundSa& sa);  // transport.cpp
  void rejoin_header(unsigned row, const sa::InboundSa& sa, const std::uint8_t* header,
                     std::size_t header_bytes, std::uint8_t protocol);

  void reassemble();  // parts.cpp: parts_ -> whole_, esp_, clear_
  void take_part(unsigned row);
  bool lacks_ports(unsigned row, policy::Decision decision) const;
  bool must_be_whole(unsigned row, policy::Decision decision) const;
  void process_whole();
  Verdict rejoin(unsigned row, Onward onward);
  bool is_inner_part(unsigned row) const;
  void process_rejoined();
  void count_given_up(Reassembly& reassembly);
  bool is_part(unsigned row) const;

  bool must_stay_whole(unsigned row) const;  // sizes.cpp: -> aside_
  bool fits_path(unsigned row, const sa::OutboundSa& sa);
  bool fits_path_in_transport(unsigned row, const sa::EspSizes& sizes, unsigned path_mtu);
  void refuse_for_path(unsigned row, unsigned largest);
  net::Refusal too_big(unsigned row, unsigned largest) const;
  void tell_sender(unsigned row, Verdict verdict, net::Refusal refusal, std::uint16_t port);
  void refuse_to_route(unsigned row, Verdict verdict, net::Refusal::Why why);
  unsigned way_out(unsigned row, const forward::Hop& hop) const;
  void exceed_hop(unsigned row, const forward::Hop& hop);
  void set_aside(unsigned row, unsigned limit, Onward onward);
  void process_pieces();
  bool next_piece();

  void route();  // egress.cpp: unrouted_ -> routed_ -> tx_
  void forward();
  void send_to_hop(unsigned row, const forward::Hop& hop);
  void send_raw(unsigned row);
  void queue_frame(unsigned row, std::uint8_t port);
  void transmit();
  void free_finished();

  struct PuntVerdicts {
    Verdict taken, full, limited;
  };
  void punt_to_host(unsigned row);  // punting.cpp
  void punt_link(unsigned row);
  void punt_ike(unsigned row);
  std::uint64_t ike_spi(unsigned row) const;
  void deliver_locally(unsigned row, std::uint8_t port);
  void punt_inner(unsigned row, std::uint16_t twin);
  void punt(unsigned row, std::uint16_t twin, rte_ring* ring, RateLimit& limit, const PuntVerdicts& verdicts);
  void untag(unsigned row);
  void ask_for_neighbour(unsigned row);

  // Counts the verdict, at the packet's SA too if it has one; the mbuf is somebody else's now.
  void settle(unsigned row, Verdict verdict);
  void finish(unsigned row, Verdict verdict);  // the same, and the mbuf is freed at the end of the burst
  // One direct, contiguous segment of reference count 1: as nearly all are, or by a copy.
  bool make_exclusive(unsigned row) { return is_exclusive(*burst_.mbuf[row]) || copy_packet(row); }
  bool copy_packet(unsigned row);
  // Why a packet on its way out could not be copied.
  Verdict copy_fault(unsigned row) const;
  bool fits_one_buffer(unsigned row) const;  // a large one if need be, or no copy can be contiguous
  static bool fits(unsigned bytes, rte_mempool* pool);
  // Large buffers are few, and their pool is not the one that transmit queues may count on
  // (RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE): what leaves the worker does so in ordinary ones, several if need be.
  // False: there are not enough.
  bool leave_large_buffer(unsigned row) {
    return burst_.mbuf[row]->pool != shared_.large_buffers || copy_to(row, shared_.buffers);
  }
  bool copy_to(unsigned row, rte_mempool* pool);
  port::Port& in_port() const { return *shared_.ports[burst_.port]; }

  Shared& shared_;
  unsigned id_;
  bool exclusive_;  // the only worker: plain stores where several would need locked ones
  std::unique_ptr<crypto::Queue> crypto_;
  std::array<std::span<const std::uint16_t>, crypto::suite_table.size()> hot_key_lines_;  // by SuiteId

  Burst burst_;
  std::array<forward::HopIndex, burst_max> hop_;
  std::array<net::Flow, burst_max> flow_;         // of cleartext and decrypted packets
  std::array<policy::Match, burst_max> match_;    // what policy says of a packet's way out
  std::array<policy::Match, burst_max> arrival_;  // and of its having come in clear, by a port with ipsec
  Lanes esp_, missed_, clear_, transit_, decrypted_, protect_, unrouted_, routed_, raw_;
  Lanes crypto_rows_;  // crypto_rows_.row[k] owns operations[k]
  Lanes done_;         // to be freed at the end of the burst
  Lanes parts_;        // fragments that may be ours to reassemble

  // Places of their own for what came out of SAs: nobody else can have it given up.
  Reassembly reassembly_, decrypted_reassembly_;
  unsigned whole_count_ = 0;
  std::array<rte_mbuf*, burst_max> whole_;  // reassembled frames, which come next

  // Packets of this burst that are to be cut, or copied. Their pieces come after it, in bursts of their own.
  struct Aside {
    rte_mbuf* packet;
    std::uint16_t limit;  // bytes of a piece, of what is cut
    Onward onward;
    net::Family family;
    Origin origin;
    std::uint32_t sa;
    bool sa_is_outbound;
    tunnel::Index tunnel;  // to peers: of the next copy
    forward::HopIndex hop;
  };
  unsigned add_piece(rte_mbuf* piece, const Aside& aside);
  unsigned aside_count_ = 0;
  unsigned aside_next_ = 0;
  std::array<Aside, burst_max> aside_;
  unsigned rejoined_count_ = 0;
  std::array<Aside, burst_max> rejoined_;  // made whole of what came out of an SA, or was to go into one
  std::optional<Cutter> cutter_;           // of aside_[aside_next_]
  bool in_whole_ = false;                  // this burst is of reassembled frames, and none is part of another
  bool cutting_ = false;                   // this burst is of pieces, and none is cut again
  Identifications identifications_;

  struct TxBuffer {
    unsigned count = 0;
    std::array<rte_mbuf*, burst_max> mbuf;
    std::array<std::uint8_t, burst_max> row;
  };
  std::array<TxBuffer, port::ports_max> tx_;

  RateLimit link_limit_, host_limit_, inner_limit_, ike_limit_, ike_known_limit_, spi_known_limit_,
      spi_limit_, neighbour_limit_, peer_limit_, icmp_error_limit_;
  std::vector<RateLimit> ike_shares_, spi_shares_;  // of what goes to SPIs of ours, by SPI
  Tracer tracer_;
  Capture capture_;
  PacketCounters counters_;
  StageClock clock_;
  Load load_;
  unsigned idle_rounds_ = 0;
};

}  // namespace espgate::worker
