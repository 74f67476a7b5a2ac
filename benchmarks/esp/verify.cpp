#include "benchmarks/esp/verify.hpp"

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <cstring>

#include "benchmarks/esp/traffic.hpp"
#include "datapath/net/headers.hpp"
#include "datapath/sa/esp_operation.hpp"

namespace espgate::bench {

Verifier::Verifier(const Scene& scene, Gateway& gateway, std::uint16_t ethdev)
    : scene_(scene),
      gateway_(gateway),
      ethdev_(ethdev),
      callback_(rte_eth_add_tx_callback(ethdev, 0, examine_burst, this)) {
  if (callback_ == nullptr) throw Failure("DPDK was built without transmit callbacks");
}

// The callback's memory stays DPDK's: freeing it is only allowed once no worker can be in it, and it is
// small.
Verifier::~Verifier() {
  rte_eth_remove_tx_callback(ethdev_, 0, callback_);
}

std::uint16_t Verifier::examine_burst(std::uint16_t, std::uint16_t, rte_mbuf** frames, std::uint16_t count,
                                      void* self) {
  auto& verifier = *static_cast<Verifier*>(self);
  for (std::uint16_t i = 0; i < count; ++i) verifier.good_ += verifier.is_good(*frames[i]) ? 1 : 0;
  return count;
}

bool Verifier::is_good(rte_mbuf& frame) {
  const std::span bytes(rte_pktmbuf_mtod(&frame, std::uint8_t*), frame.data_len);
  const bool in = scene_.direction == Direction::inbound;
  const auto* station = station_macs[in ? inside : outside];
  if (bytes.size() != frame.pkt_len || bytes.size() < net::ethernet_bytes) return false;
  if (std::memcmp(bytes.data(), station, 6) != 0) return false;
  const auto packet = bytes.subspan(net::ethernet_bytes);
  return in ? is_forwarded_inner_packet(packet) : opens(packet);
}

bool Verifier::opens(std::span<std::uint8_t> packet) {
  const auto& suite = crypto::suite(scene_.suite);
  constexpr std::size_t esp = net::ipv4_header_bytes;
  const std::size_t text = esp + net::esp_header_bytes + suite.iv_bytes;
  if (packet.size() < text + suite.icv_bytes + 2 || packet[net::ipv4::protocol] != net::protocol_esp)
    return false;
  if (net::header_sum(packet.first(esp)) != 0xffff) return false;
  const auto number = sa_of(net::load_be32(packet, esp));
  if (number >= scene_.sas || net::load_be32(packet, net::ipv4::destination) != peer_of(number)) return false;
  const auto& sa = gateway_.sas()[number];
  crypto::Operation operation{};
  const auto text_bytes = static_cast<std::uint32_t>(packet.size() - text - suite.icv_bytes);
  sa::describe_esp(operation, sa, packet.data() + esp, suite.iv_bytes, text_bytes,
                   net::load_be32(packet, esp + 4));
  gateway_.queue().open({&operation, 1});
  if (operation.status != crypto::Status::ok) return false;
  const std::size_t padding = operation.text[operation.text_bytes - 2];
  if (operation.text_bytes < padding + 2 || operation.text[operation.text_bytes - 1] != net::protocol_ipv4)
    return false;
  return is_forwarded_inner_packet({operation.text, operation.text_bytes - padding - 2});
}

}  // namespace espgate::bench
