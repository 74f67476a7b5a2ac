#include "benchmarks/esp/traffic.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>

#include "datapath/net/headers.hpp"
#include "datapath/sa/esp_operation.hpp"

namespace espgate::bench {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint8_t fresh_ttl = 64;
constexpr std::size_t inner_headers_bytes = net::ipv4_header_bytes + net::udp_header_bytes;

void append_zeros(Bytes& bytes, std::size_t count) {
  bytes.resize(bytes.size() + count);
}

void write_ipv4(std::span<std::uint8_t> packet, std::uint8_t protocol, std::uint32_t source,
                std::uint32_t destination) {
  packet[0] = 0x45;
  net::store_be16(packet, net::ipv4::total_length, static_cast<std::uint16_t>(packet.size()));
  packet[net::ipv4::ttl] = fresh_ttl;
  packet[net::ipv4::protocol] = protocol;
  net::store_be32(packet, net::ipv4::source, source);
  net::store_be32(packet, net::ipv4::destination, destination);
  net::store_be16(packet, net::ipv4::checksum, net::header_checksum(packet.first(net::ipv4_header_bytes)));
}

std::uint8_t payload_byte(std::size_t at, std::uint32_t seed) {
  return static_cast<std::uint8_t>(at * 7 + seed);
}

// UDP from `source` to `destination`; its payload depends on both addresses.
void append_inner(Bytes& frame, std::size_t bytes, std::uint32_t source, std::uint32_t destination) {
  const auto begin = frame.size();
  append_zeros(frame, bytes);
  const auto packet = std::span(frame).subspan(begin);
  write_ipv4(packet, net::protocol_udp, source, destination);
  const auto udp = packet.subspan(net::ipv4_header_bytes);
  net::store_be16(udp, 0, 1'234);
  net::store_be16(udp, 2, 5'001);
  net::store_be16(udp, 4, static_cast<std::uint16_t>(udp.size()));
  for (std::size_t i = inner_headers_bytes; i < bytes; ++i) packet[i] = payload_byte(i, source ^ destination);
}

void append_ethernet(Bytes& frame, std::uint8_t port) {
  frame.insert(frame.end(), port_macs[port], port_macs[port] + 6);
  frame.insert(frame.end(), station_macs[port], station_macs[port] + 6);
  append_zeros(frame, 2);
  net::store_be16(frame, frame.size() - 2, net::ethertype_ipv4);
}

// Wraps the inner packet that `frame` ends with, `inner_bytes` long, in front of which there is room for
// the outer headers and the IV.
void seal(Bytes& frame, std::size_t inner_bytes, std::uint32_t spi, std::uint32_t peer, const SaRef& sa,
          std::uint32_t sequence, crypto::Queue& queue) {
  const auto& suite = crypto::suite(sa.suite);
  const auto text = frame.size() - inner_bytes;
  const auto esp = text - suite.iv_bytes - net::esp_header_bytes;
  std::uint8_t padding = 0;
  while ((inner_bytes + padding + 2) % suite.align_bytes != 0) frame.push_back(++padding);
  frame.push_back(padding);
  frame.push_back(net::protocol_ipv4);
  const auto text_bytes = frame.size() - text;
  append_zeros(frame, suite.icv_bytes);
  net::store_be32(frame, esp, spi);
  net::store_be32(frame, esp + 4, sequence);
  if (suite.iv_bytes != 0) net::store_be64(frame, text - 8, sequence);

  crypto::Operation operation{};
  sa::describe_esp(operation, sa, frame.data() + esp, suite.iv_bytes, static_cast<std::uint32_t>(text_bytes),
                   sequence);
  queue.seal({&operation, 1});
  if (operation.status != crypto::Status::ok) throw Failure("a frame could not be encrypted");
  write_ipv4(std::span(frame).subspan(net::ethernet_bytes), net::protocol_esp, peer, gateway_address);
}

// Gathers small writes.
class PcapWriter {
 public:
  explicit PcapWriter(int file) : file_(file) {
    const std::uint32_t header[] = {0xa1b2'c3d4, 2 | 4 << 16, 0, 0, 65'535, 1};  // version 2.4, Ethernet
    append(header, sizeof header);
  }
  void add(const Bytes& frame) {
    const auto bytes = static_cast<std::uint32_t>(frame.size());
    const std::uint32_t header[] = {0, 0, bytes, bytes};
    append(header, sizeof header);
    append(frame.data(), frame.size());
    if (buffer_.size() > (1u << 20)) flush();
  }
  void flush() {
    if (::write(file_, buffer_.data(), buffer_.size()) != static_cast<ssize_t>(buffer_.size()))
      throw Failure("not enough memory for the frames");
    buffer_.clear();
  }

 private:
  void append(const void* bytes, std::size_t count) {
    const auto* from = static_cast<const std::uint8_t*>(bytes);
    buffer_.insert(buffer_.end(), from, from + count);
  }

  int file_;
  Bytes buffer_;
};

}  // namespace

Traffic::Traffic(const Scene& scene, const Load& load, Gateway& gateway)
    : file_(::memfd_create("esp_bench.pcap", 0)) {
  if (file_ < 0) throw Failure("memfd_create failed");
  order_frames(scene, load);
  write_pcap(scene, load, gateway);
}

Traffic::~Traffic() {
  ::close(file_);
}

double Traffic::mean_inner_bytes() const {
  double sum = 0;
  for (const auto& frame : frames_) sum += frame.inner_bytes;
  return sum / static_cast<double>(frames_.size());
}

// Every SA once in random order, then again in another, until there are enough: no SA comes twice before
// nearly all others have come, which is the hardest order for a cache.
void Traffic::order_frames(const Scene& scene, const Load& load) {
  std::mt19937 random(scene.sas);
  std::vector<std::uint32_t> order(scene.sas);
  std::iota(order.begin(), order.end(), 0u);
  frames_.resize(frame_count(scene));
  for (std::size_t i = 0; i < frames_.size(); ++i) {
    if (i % order.size() == 0) std::ranges::shuffle(order, random);
    const auto bytes =
        load.inner_bytes == imix ? imix_bytes[random() % std::size(imix_bytes)] : load.inner_bytes;
    frames_[i] = {order[i % order.size()], bytes};
  }
  most_frames_of_an_sa_ = (frames_.size() + order.size() - 1) / order.size();
}

void Traffic::write_pcap(const Scene& scene, const Load& load, Gateway& gateway) {
  const bool in = scene.direction == Direction::inbound;
  std::mt19937 random(7);
  std::vector<std::uint32_t> sequences(scene.sas);
  PcapWriter writer(file_);
  Bytes frame;
  for (const auto& [sa, inner_bytes] : frames_) {
    const auto remote = remote_host_of(sa, scene.sas);
    const auto local = local_network + static_cast<std::uint32_t>(random() & 0xffff);
    frame.clear();
    append_ethernet(frame, in ? outside : inside);
    if (in) {
      append_zeros(frame,
                   net::ipv4_header_bytes + net::esp_header_bytes + crypto::suite(scene.suite).iv_bytes);
      append_inner(frame, inner_bytes, remote, local);
      const auto spi = spi_of(load.kind == Kind::unknown_spi ? first_unknown_sa + sa : sa);
      seal(frame, inner_bytes, spi, peer_of(sa), gateway.sas()[sa], ++sequences[sa], gateway.queue());
    } else {
      append_inner(frame, inner_bytes, local, remote);
    }
    writer.add(frame);
  }
  writer.flush();
}

bool is_forwarded_inner_packet(std::span<const std::uint8_t> packet) {
  if (packet.size() < inner_headers_bytes || packet[0] != 0x45) return false;
  if (net::load_be16(packet, net::ipv4::total_length) != packet.size()) return false;
  if (packet[net::ipv4::ttl] != fresh_ttl - 1) return false;
  if (net::header_sum(packet.first(net::ipv4_header_bytes)) != 0xffff) return false;
  const auto seed =
      net::load_be32(packet, net::ipv4::source) ^ net::load_be32(packet, net::ipv4::destination);
  for (std::size_t i = inner_headers_bytes; i < packet.size(); ++i)
    if (packet[i] != payload_byte(i, seed)) return false;
  return true;
}

}  // namespace espgate::bench
