// A whole datapath inside a test process: EAL without huge pages, two ring ports, real tables, a real
// crypto engine and workers that the test drives burst by burst on its own thread. Shared by the worker
// tests, the fuzz target on ESP and the benchmarks.
//
//   outside 192.0.2.1/24, 2001:db8:a::1/64: peers .2/::2 (resolved)
//   inside  10.1.0.1/24,  2001:db8:1::1/64: hosts 10.1.0.9, 2001:db8:1::9 (resolved)
//   behind the peers: 10.2.0.0/16, 2001:db8:2::/48
//   policies: protect between inside and peers; bypass to 10.1.0.0/24; discard to 198.51.100.0/24;
//             protect without an SA to 10.3.0.0/16
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "datapath/worker/worker.hpp"

namespace espgate::test {

using Bytes = std::vector<std::uint8_t>;

// The one EAL of the test process; `vdevs` beside the two ring ports. Call first, once.
void start_environment(const std::vector<std::string>& extra_arguments = {});

// Puts the right checksum into the IPv4 header that begins at `ip_offset`.
// A buffer of `pool`, which has one and room for all of them, with these bytes.
rte_mbuf* buffer_with(rte_mempool* pool, const Bytes& bytes);
// The IP packet as it must leave: one hop less.
Bytes forwarded(Bytes packet);
void mend_checksum(Bytes& bytes, std::size_t ip_offset = 0);

struct SaOptions {
  net::Family outer = net::Family::v4;
  sa::Mode mode = sa::Mode::tunnel;  // transport: without selectors these are the outer addresses
  sa::OuterFields outer_fields = {};
  sa::Encapsulation encapsulation = sa::Encapsulation::none;
  bool extended_sequence = false;
  std::uint32_t window_packets = 1024;
  crypto::SuiteId suite = crypto::SuiteId::aes_gcm_16_128;
  std::string engine = "ipsec-mb";
  std::string remote_network4 = "10.2.0.0/16";
  std::string remote_network6 = "2001:db8:2::/48";
  bool track_peer = true;
  bool any_encapsulation = false;
  std::uint32_t inbound_spi = 0x1001;
  std::uint32_t reassembly_flows = 8;
  sa::Lifetime lifetime{};
  std::uint16_t tfc_bytes = 0;
  std::vector<net::TrafficSelector> selectors{};  // of the SAs and their policies, instead of these networks
  bool by_route = false;                          // the outbound SA has the selectors, as a tunnel's does
  std::uint64_t owner = 0;                        // of both SAs
};

class Rig {
 public:
  static constexpr std::uint8_t outside = 0;
  static constexpr std::uint8_t inside = 1;
  static constexpr std::uint32_t inbound_spi = 0x1001;
  static constexpr std::uint32_t outbound_spi = 0x2001;

  explicit Rig(const SaOptions& options = {}, unsigned workers = 1);
  ~Rig();

  // Frames in by one port, at most 64 a burst, through one worker. Returns what left, by port.
  struct Output {
    std::vector<Bytes> outside;
    std::vector<Bytes> inside;
    std::vector<Bytes> link;  // from the punt rings
    std::vector<Bytes> host;
    std::vector<Bytes> control;
  };
  Output run(std::uint8_t port, std::span<const Bytes> frames, unsigned worker = 0);
  Output run(std::uint8_t port, const Bytes& frame) { return run(port, std::span(&frame, 1)); }
  // The same with each frame in segments that end at these offsets.
  Output run_split(std::uint8_t port, const Bytes& frame, std::span<const std::size_t> ends);
  // As if the control core had sent it, outer or cleartext.
  Output run_from_control(const Bytes& packet, bool clear);
  // A dummy, for the SA that policy names or that of the tunnel.
  Output run_dummy(const Bytes& packet, tunnel::Index tunnel = tunnel::no_tunnel);
  // Packets whose senders are to be told, by whose address.
  struct Refused {
    Bytes packet;
    net::Refusal refusal;
    std::uint16_t port;
  };
  std::vector<Refused> refused();
  // As if the kernel had sent it out of the port's twin.
  Output run_from_host(std::uint16_t port, const Bytes& frame);  // or a tunnel's link, an IP packet

  // How often a verdict was given since the last call for any verdict; by all workers.
  std::uint64_t taken(Verdict verdict);
  // The verdicts since the last call, as text: "FORWARDED=1 IN_ESP_RUNT=2".
  std::string verdicts();
  // received + from_host = sum of verdicts, and all buffers are back.
  bool conserved();
  unsigned buffers_in_use() const;
  unsigned large_buffers_in_use() const;
  static constexpr unsigned large_buffer_count = 31;
  std::vector<sa::SpiMiss> spi_misses();
  std::vector<Bytes> captured();
  std::vector<worker::PeerMoved> peers_moved();
  // "packet stage" of each trace record, by stage name or the verdict's: "1 parse", "1 FORWARDED".
  std::vector<std::string> traced();

  std::vector<std::uint16_t> host_ports;  // mbuf->port of all that went to the host
  worker::Shared shared;
  std::vector<std::unique_ptr<worker::Worker>> workers;
  std::unique_ptr<crypto::Engine> engine;
  std::unique_ptr<sa::SaStore> sas;
  std::unique_ptr<forward::Forwarding> forwarding;
  std::unique_ptr<policy::Classifier> policies;
  std::unique_ptr<tunnel::TunnelTable> tunnels;  // empty
  std::uint32_t inbound = 0;                     // SA indices
  std::uint32_t outbound = 0;
  std::uint32_t bypass_to_inside = 0;  // rule
  SaOptions options;

  // An inner packet from behind the peer to the inside host, or the answer's direction.
  Bytes inner(net::Family family, std::size_t payload_bytes, bool from_peer) const;
  // ESP as the peer would send it, sealed with the OpenSSL engine: text is payload with trailer.
  Bytes sealed_frame(std::uint64_t sequence, std::span<const std::uint8_t> text) const;
  // The same around an inner packet with correct trailer.
  Bytes esp_frame(std::uint64_t sequence, std::span<const std::uint8_t> inner,
                  std::uint8_t next_header) const;
  // An Ethernet frame to the port's MAC around an IP packet.
  Bytes frame_to(std::uint8_t port, std::span<const std::uint8_t> ip_packet) const;
  // Opens ESP that the gateway made; empty when it does not open.
  Bytes open(std::span<const std::uint8_t> frame, std::uint64_t* sequence = nullptr) const;
  sa::SaParameters parameters(bool inbound_direction) const;
  // A policy of this order; the rig's own begin at 1000: its networks, then bypass to the inside, then
  // others.
  std::uint32_t add_policy(const net::TrafficSelector& selector, std::uint64_t order,
                           policy::Decision decision);

 private:
  void create_tables(unsigned worker_count);
  void add_routes();
  void add_policies();
  Output inject(std::uint16_t mark, const Bytes& bytes, tunnel::Index tunnel = tunnel::no_tunnel);
  void collect(rte_ring* ring, std::vector<Bytes>& to, std::vector<std::uint16_t>* ports = nullptr);
  void collect_port(std::uint8_t port, std::vector<Bytes>& to);
  Output outputs();

  std::array<std::unique_ptr<port::Port>, 2> ports_;
  std::array<std::uint64_t, verdict_count> seen_{};
  void* readers_memory_ = nullptr;
  rte_mempool* capture_buffers_ = nullptr;
  unsigned baseline_ = 0;
  std::unique_ptr<crypto::Engine> reference_;
  Bytes inbound_keymat_, outbound_keymat_;
};

}  // namespace espgate::test
