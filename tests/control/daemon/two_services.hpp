// Two services with real cores and real SA managers; the packets that they hand to their workers' ring come
// in as frames at the other.
#pragma once

#include <fmt/format.h>
#include <poll.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <cstring>
#include <map>

#include "control/config/load.hpp"
#include "control/daemon/ike_service.hpp"
#include "control/daemon/services.hpp"
#include "tests/control/config/sample.hpp"
#include "tests/control/sa/surroundings.hpp"

namespace espgate::test {

using namespace std::chrono_literals;

inline constexpr std::string_view psk = "psk = \"correct horse battery\";";

struct Spis {
  std::uint32_t in = 0;
  std::uint32_t out = 0;
  Spis turned() const { return {out, in}; }
  bool operator==(const Spis&) const = default;
};

class Side {
 public:
  explicit Side(const char* name) : name_(name) {
    sas.random.seed(static_cast<std::uint64_t>(name[0]));  // else both sides chose the same SPIs
    rings.inject =
        rte_ring_create(fmt::format("{}_inject", name).c_str(), 256, SOCKET_ID_ANY, RING_F_EXACT_SZ);
    buffers = rte_pktmbuf_pool_create(fmt::format("{}_buffers", name).c_str(), 511, 0, 0,
                                      RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    REQUIRE(buffers != nullptr);
    path.emplace(taps, rings, buffers);
  }
  ~Side() {
    ike.reset();
    while (!take().empty()) {
    }
    rte_ring_free(rings.inject);
    rte_mempool_free(buffers);
  }

  // The file with one connection called site, as side a or b sees it, and with networks of its own for each
  // child of that; what came of it in the service. `meanwhile`: in between, as a reload is put in force in
  // slices.
  daemon::IkeService::Change configure(const std::string& group, bool with_it = true,
                                       const std::function<void()>& meanwhile = {}) {
    const bool first = name_[0] == 'a';
    auto others = more;
    for (const auto& [child, network] : children)
      others += fmt::format(
          ", {{ name = \"{}\"; local = \"192.0.2.{}\"; remote = \"192.0.2.{}\"; local-networks = "
          "[ \"10.{}.{}.0/24\" ]; remote-networks = [ \"10.{}.{}.0/24\" ]; ike = {{ child-of = "
          "\"site\"; }}; }}",
          child, first ? 1 : 2, first ? 2 : 1, first ? 3 : 4, network, first ? 4 : 3, network);
    const config::test::Folder folder;
    auto loaded = config::load(folder.write(
        "espgate.conf",
        with_it ? fmt::format("{}connections = ( {{ name = \"site\"; local = \"192.0.2.{}\"; remote = "
                              "\"192.0.2.{}\"; local-networks = [ \"10.{}.0.0/16\" ]; remote-networks = [ "
                              "\"10.{}.0.0/16\" ]; {} ike = {{ {} }}; }}{} );",
                              config::test::minimal, first ? 1 : 2, first ? 2 : 1, first ? 1 : 2,
                              first ? 2 : 1, settings, group, others)
                : std::string(config::test::minimal)));
    for (const auto& error : loaded.errors) FAIL_CHECK(error.text());
    REQUIRE(loaded.configuration);
    if (!ike) ike.emplace(parts(), loaded.configuration->limits);
    const auto stop = [&] {
      if (meanwhile) meanwhile();
      return false;
    };
    REQUIRE(sas.manager.configure(*loaded.configuration, daemon::now(), stop).problems.empty());
    return ike->configure(*loaded.configuration, daemon::now());
  }
  daemon::IkeService::Parts parts() { return {*path, sas.manager, *sas.store, *policies, *tunnels, journal}; }
  // The next packet that a worker would send; empty: none.
  std::vector<std::uint8_t> take() {
    void* taken = nullptr;
    if (rte_ring_dequeue(rings.inject, &taken) != 0) return {};
    auto* packet = static_cast<rte_mbuf*>(taken);
    std::vector<std::uint8_t> bytes(rte_pktmbuf_data_len(packet));
    std::memcpy(bytes.data(), rte_pktmbuf_mtod(packet, void*), bytes.size());
    rte_pktmbuf_free(packet);
    return bytes;
  }
  // 0: none.
  Spis spis(const std::string& connection = "site") {
    const auto report = sas.manager.connection_report(connection);
    return report ? Spis{report->inbound_spi, report->outbound_spi} : Spis{};
  }
  bool is_up(const std::string& connection = "site") {
    const auto present = sas.manager.current_sas(connection);
    return present.inbound && present.outbound;
  }
  std::string said() const {
    std::string text;
    if (const auto* lines = ike->lines("site"))
      for (const auto& line : *lines) text += line.text + "\n";
    return text;
  }
  std::string state_of(std::uint32_t inbound_spi) {
    for (const auto& report : sas.manager.report(inbound_spi).sas)
      if (report.direction == sa::Direction::inbound) return std::string(report.state);
    return "gone";
  }

 private:
  const char* name_;

 public:
  std::map<std::string, int> children;
  std::string settings;  // of site, beside `ike`
  std::string more;      // connections of the file, each with a comma before it
  std::vector<host::Tap> taps;
  worker::PuntRings rings;
  rte_mempool* buffers = nullptr;
  std::optional<daemon::HostPath> path;
  sa::test::Surroundings sas;
  std::unique_ptr<policy::Classifier> policies =
      policy::Classifier::create(64, 1, *std::pmr::new_delete_resource(), {}).value();
  std::unique_ptr<tunnel::TunnelTable> tunnels =
      tunnel::TunnelTable::create(4, 64, *std::pmr::new_delete_resource(), {}).value();
  daemon::Journal journal;
  std::optional<daemon::IkeService> ike;
};

inline std::vector<std::uint8_t> framed(const std::vector<std::uint8_t>& packet) {
  std::vector<std::uint8_t> frame(14 + packet.size());
  frame[12] = 0x08;
  std::copy(packet.begin(), packet.end(), frame.begin() + 14);
  return frame;
}

struct Two {
  Side a{"a"}, b{"b"};

  void step() {
    for (auto* side : {&a, &b}) {
      pollfd work{side->ike->descriptor(), POLLIN, 0};
      if (poll(&work, 1, 1) > 0) side->ike->deliver();
      while (side->ike->run_timer(daemon::now()) != 0) {
      }
      side->ike->tick(daemon::now());
      auto& other = side == &a ? b : a;
      for (auto packet = side->take(); !packet.empty(); packet = side->take())
        other.ike->received(framed(packet), daemon::now());
    }
  }
  template <typename Condition>
  void until(Condition holds) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > deadline) FAIL(a.said() + "--\n" + b.said());
      step();
    }
  }
  // Until nothing is sent any more.
  void settle() {
    for (const auto end = std::chrono::steady_clock::now() + 100ms; std::chrono::steady_clock::now() < end;)
      step();
  }
  void start(const std::string& for_a = {}, const std::string& for_b = {}) {
    a.configure(std::string(psk) + for_a);
    b.configure(std::string(psk) + "start = \"passive\";" + for_b);
    until([&] { return a.is_up() && b.is_up(); });
    settle();
  }
};

}  // namespace espgate::test
