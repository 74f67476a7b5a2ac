#include "benchmarks/esp/gateway.hpp"

#include <rte_cycles.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include <algorithm>
#include <cstring>

#include "drivers/crypto/engines.hpp"
#include "drivers/port/eal.hpp"

namespace espgate::bench {
namespace {

constexpr std::uint16_t jumbo_mtu = 9'600;

sa::Limits sa_limits(const Scene& scene) {
  const bool in = scene.direction == Direction::inbound;
  return {in ? scene.sas : 1, in ? 1 : scene.sas, scene.workers};
}

std::uint32_t tunnel_count(const Scene& scene) {
  return scene.route == Route::vti ? scene.sas : 1;
}

forward::Limits forward_limits(const Scene& scene) {
  return {tunnel_count(scene) + 64, tunnel_count(scene) + 64};
}

std::uint32_t policies(const Scene& scene) {
  return scene.direction == Direction::outbound && scene.route == Route::policy ? scene.sas : 1;
}

net::Prefix prefix(std::uint32_t address, std::uint8_t length) {
  return net::masked(net::Address::v4(address), length);
}

sa::SaParameters parameters(std::uint32_t number, const Scene& scene) {
  sa::SaParameters result;
  result.spi = spi_of(number);
  result.suite = scene.suite;
  result.keymat.resize(crypto::suite(scene.suite).keymat_bytes(), 0x5a);
  std::memcpy(result.keymat.data(), &number, sizeof number);
  result.local = net::Address::v4(gateway_address);
  result.remote = net::Address::v4(peer_of(number));
  result.window_packets = window_packets;
  const auto remote = prefix(remote_network_of(number, scene.sas), remote_prefix_length(scene.sas));
  result.selectors = {net::between(prefix(local_network, 16), remote)};
  return result;
}

template <typename Sa>
void note_keys(SaRef& ref, const Sa& sa) {
  ref.key = sa.key;
  std::memcpy(ref.salt, sa.salt, sizeof ref.salt);
}

}  // namespace

std::size_t Gateway::memory_bytes(const Scene& scene) {
  return sa::SaStore::memory_bytes(sa_limits(scene)) +
         forward::Forwarding::memory_bytes(forward_limits(scene)) +
         policy::Classifier::memory_bytes(policies(scene), scene.workers) +
         tunnel::TunnelTable::memory_bytes(tunnel_count(scene), sa_limits(scene).inbound);
}

Gateway::Gateway(const Scene& scene)
    : scene_(scene), engine_(must(crypto::make_engine("ipsec-mb"))), queue_(must(engine_->make_queue())) {
  shared.worker_count = scene.workers;
  shared.tsc_hz = rte_get_tsc_hz();
  must(shared.rings.create(1'024, 1'024));
  store_ = must(sa::SaStore::create(sa_limits(scene), *engine_, port::dpdk_memory()));
  forwarding_ = must(forward::Forwarding::create(forward_limits(scene), SOCKET_ID_ANY, nullptr, nullptr));
  shared.sas = store_.get();
  policies_ = must(policy::Classifier::create(policies(scene), scene.workers, port::dpdk_memory(), {}));
  shared.forwarding = forwarding_.get();
  shared.policies = policies_.get();
  tunnels_ = must(
      tunnel::TunnelTable::create(tunnel_count(scene), sa_limits(scene).inbound, port::dpdk_memory(), {}));
  shared.tunnels = tunnels_.get();
  install_sas();
  add_routes();
}

Gateway::~Gateway() {
  shared.rings.destroy();
}

void Gateway::install_sas() {
  refs_.reserve(scene_.sas);
  for (std::uint32_t number = 0; number < scene_.sas; ++number) {
    auto sa = parameters(number, scene_);
    const auto selector = sa.selectors[0];
    SaRef ref{};
    ref.suite = scene_.suite;
    if (scene_.direction == Direction::inbound) {
      ref.index = must(store_->reserve_inbound(sa.spi));
      must(store_->install_inbound(ref.index, sa));
      note_keys(ref, store_->inbound(ref.index));
    } else {
      sa.selectors.clear();
      ref.index = must(store_->install_outbound(sa));
      note_keys(ref, store_->outbound(ref.index));
    }
    bring_packets_to(number, ref, selector);
    refs_.push_back(ref);
  }
}

void Gateway::bring_packets_to(std::uint32_t number, const SaRef& ref, const net::TrafficSelector& selector) {
  const bool outbound = scene_.direction == Direction::outbound;
  if (scene_.route == Route::policy) {
    if (outbound) must(policies_->add(selector, number, policy::Decision::protect(ref.index)));
    return;
  }
  const auto tunnel = must(tunnels_->add());
  if (!outbound) return tunnels_->bind_inbound(ref.index, tunnel);
  tunnels_->set(tunnel, policy::Decision::protect(ref.index));
  forward::Hop hop;
  hop.kind = forward::HopKind::tunnel;
  hop.tunnel = tunnel;
  hop.mtu = jumbo_mtu;
  must(forwarding_->set_route(selector.remote.cover(), must(forwarding_->add_hop(hop))));
}

void Gateway::add_routes() {
  const auto hop_to = [&](std::uint8_t port) {
    forward::Hop hop;
    hop.kind = forward::HopKind::resolved;
    hop.port = port;
    hop.frame_bytes = 14;
    hop.mtu = jumbo_mtu;
    std::memcpy(hop.frame, station_macs[port], 6);
    std::memcpy(hop.frame + 6, port_macs[port], 6);
    return must(forwarding_->add_hop(hop));
  };
  forward::Hop local;
  local.kind = forward::HopKind::local;
  local.port = outside;
  local.mtu = jumbo_mtu;
  must(forwarding_->set_route(prefix(gateway_address, 32), must(forwarding_->add_hop(local))));
  must(forwarding_->set_route(prefix(local_network, 16), hop_to(inside)));
  must(forwarding_->set_route(prefix(0, 0), hop_to(outside)));
}

void Gateway::reset_windows(std::size_t packets) {
  for (const auto& ref : refs_) {
    auto& sa = store_->inbound(ref.index);
    sa.top.store(0, std::memory_order_relaxed);
    const auto touched = std::min<std::size_t>(packets / 32 + 1, std::size_t{sa.cell_mask} + 1);
    for (std::size_t i = 0; i < touched; ++i) sa.cells[i].store(0, std::memory_order_relaxed);
  }
}

void Gateway::set_replay(bool on) {
  for (const auto& ref : refs_) store_->inbound(ref.index).window_packets = on ? window_packets : 0;
}

}  // namespace espgate::bench
