// Two services with real cores and real SA managers; the packets that they hand to their workers' ring come
// in as frames at the other.
#include "control/daemon/ike_service.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <cstring>
#include <map>

#include "control/config/load.hpp"
#include "control/daemon/services.hpp"
#include "tests/control/config/sample.hpp"
#include "tests/control/sa/surroundings.hpp"

namespace espgate::test {
namespace {

using namespace std::chrono_literals;
using Catch::Contains;

constexpr std::string_view psk = "psk = \"correct horse battery\";";

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
    std::string more;
    for (const auto& [child, network] : children)
      more += fmt::format(
          ", {{ name = \"{}\"; local = \"192.0.2.{}\"; remote = \"192.0.2.{}\"; local-networks = "
          "[ \"10.{}.{}.0/24\" ]; remote-networks = [ \"10.{}.{}.0/24\" ]; ike = {{ child-of = "
          "\"site\"; }}; }}",
          child, first ? 1 : 2, first ? 2 : 1, first ? 3 : 4, network, first ? 4 : 3, network);
    const config::test::Folder folder;
    auto loaded = config::load(folder.write(
        "espgate.conf",
        with_it ? fmt::format("{}connections = ( {{ name = \"site\"; local = \"192.0.2.{}\"; remote = "
                              "\"192.0.2.{}\"; local-networks = [ \"10.{}.0.0/16\" ]; remote-networks = [ "
                              "\"10.{}.0.0/16\" ]; ike = {{ {} }}; }}{} );",
                              config::test::minimal, first ? 1 : 2, first ? 2 : 1, first ? 1 : 2,
                              first ? 2 : 1, group, more)
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

std::vector<std::uint8_t> framed(const std::vector<std::uint8_t>& packet) {
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
      while (side->ike->run_timers(daemon::now()) != 0) {
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

TEST_CASE("Two gateways have the SAs that they negotiated, each the other's") {
  Two two;
  two.start();
  const auto was = two.a.spis();
  CHECK(two.b.spis() == was.turned());
  const auto& inbound = two.a.sas.store->inbound(two.a.sas.store->find(was.in));
  const auto& peers = two.b.sas.store->inbound(two.b.sas.store->find(was.out));
  CHECK(inbound.suite == crypto::SuiteId::aes_gcm_16_256);
  CHECK(inbound.extended_sequence);
  CHECK(peers.extended_sequence);
  CHECK_THAT(two.a.said(), Contains("connection site is up with 192.0.2.2: aes256-gcm16"));
  CHECK(two.a.ike->down_because("site").empty());
  CHECK(two.a.ike->core().ike_sas().size() == 1);
}

TEST_CASE("New keys take the place of the old, whose inbound SA lingers") {
  Two two;
  two.start();
  const auto was = two.a.spis();
  for (const auto what : {daemon::IkeService::What::child, daemon::IkeService::What::ike}) {
    REQUIRE(two.a.ike->rekey("site", what, daemon::now()));
    two.settle();
  }
  two.until([&] { return two.a.spis().in != was.in && two.b.spis().in != was.out; });
  two.settle();
  CHECK(two.b.spis() == two.a.spis().turned());
  CHECK(two.a.state_of(was.in) == "lingering");
  CHECK(two.b.state_of(was.out) == "lingering");
  CHECK_FALSE(two.a.ike->rekey("nobody", daemon::IkeService::What::ike, daemon::now()));
}

TEST_CASE("A reload keeps the SAs of what is as before, and negotiates anew what changed") {
  Two two;
  two.start();
  const auto before = two.a.spis();
  const auto kept = two.a.configure(std::string(psk));
  CHECK((kept.kept == 1 && kept.changed + kept.added + kept.removed == 0));
  two.settle();
  CHECK(two.a.spis() == before);

  const auto changed = two.a.configure(std::string(psk) + "child-rekey-after = 1000;");
  CHECK((changed.changed == 1 && changed.kept == 0));
  two.until([&] { return two.a.is_up() && two.b.is_up() && two.a.spis().in != before.in; });
  two.settle();
  CHECK(two.b.spis() == two.a.spis().turned());

  const auto removed = two.a.configure("", false);
  CHECK(removed.removed == 1);
  CHECK(two.a.ike->in_use());  // its peer is yet to answer
  two.until([&] { return !two.b.is_up(); });
  two.until([&] { return two.a.ike->core().is_quiet(); });
  CHECK_THAT(two.b.said(), Contains("connection site is down"));
}

TEST_CASE("A reload of some of the connections that share an IKE SA leaves the others alone") {
  Two two;
  two.a.children = two.b.children = {{"voice", 1}, {"video", 2}};
  two.start();
  two.until([&] { return two.a.is_up("voice") && two.a.is_up("video"); });
  two.settle();
  const auto site = two.a.spis(), voice = two.a.spis("voice"), video = two.a.spis("video");

  two.a.children = two.b.children = {{"voice", 7}, {"data", 3}};
  const auto at_b = two.b.configure(std::string(psk) + "start = \"passive\";");
  const auto change = two.a.configure(std::string(psk));
  CHECK((change.kept == 1 && change.changed == 1 && change.added == 1 && change.removed == 1));
  CHECK((at_b.kept == 1 && at_b.changed == 1 && at_b.added == 1 && at_b.removed == 1));
  two.until([&] { return two.a.is_up("voice") && two.a.is_up("data") && two.b.is_up("data"); });
  two.until([&] { return two.a.spis("voice").in != voice.in; });
  two.settle();
  CHECK(two.a.spis() == site);
  CHECK(two.b.spis() == site.turned());
  CHECK(two.b.spis("voice") == two.a.spis("voice").turned());
  CHECK(two.a.state_of(video.in) != "active");
  CHECK(two.a.ike->core().ike_sas().size() == 1);
}

TEST_CASE("What happens while SAs are put in force waits until the connections are") {
  Two two;
  two.start();
  const auto before = two.a.spis();
  unsigned turns = 0;
  two.a.configure(std::string(psk), true, [&] {
    ++turns;
    REQUIRE(two.a.ike->rekey("site", daemon::IkeService::What::child, daemon::now()));
    two.settle();
    CHECK(two.b.spis() == before.turned());
  });
  CHECK(turns > 0);
  two.until([&] { return two.a.spis().in != before.in && two.b.spis() == two.a.spis().turned(); });
}

TEST_CASE("What is terminated stays down, and says why, until it is initiated") {
  Two two;
  two.start();
  REQUIRE(two.a.ike->terminate("site", daemon::now()));
  two.until([&] { return !two.a.is_up() && !two.b.is_up(); });
  two.settle();
  CHECK_FALSE(two.a.is_up());
  CHECK_THAT(two.a.ike->down_because("site"), Contains("terminated"));
  REQUIRE(two.a.ike->initiate("site", daemon::now()));
  two.until([&] { return two.a.is_up() && two.b.is_up(); });
  CHECK(two.a.ike->down_because("site").empty());
}

TEST_CASE("Why it is down is what happened last") {
  Two two;
  two.a.configure(std::string(psk) + "suites = [ \"aes128-gcm16\" ]; tries = 1;");
  two.b.configure(std::string(psk) + "suites = [ \"aes256-gcm16\" ]; start = \"passive\";");
  two.until([&] { return two.a.ike->failure("site").find("NO_PROPOSAL_CHOSEN") != std::string::npos; });
  REQUIRE(two.a.ike->terminate("site", daemon::now()));
  CHECK(two.a.ike->failure("site").empty());
  CHECK_THAT(two.a.ike->down_because("site"), Contains("terminated"));
  two.b.configure(std::string(psk) + "suites = [ \"aes128-gcm16\" ]; start = \"passive\";");
  REQUIRE(two.a.ike->initiate("site", daemon::now()));
  two.until([&] { return two.a.is_up() && two.b.is_up(); });
  CHECK(two.a.ike->failure("site").empty());
}

TEST_CASE("Who stops tells its peers, and lets nobody begin") {
  Two two;
  two.start();
  two.b.ike->stop(daemon::now());
  CHECK_FALSE(two.b.ike->is_quiet());
  two.until([&] { return two.b.ike->is_quiet(); });
  CHECK_FALSE(two.a.is_up());
  CHECK_THAT(two.a.ike->down_because("site"), Contains("the peer closed it"));
  REQUIRE(two.a.ike->initiate("site", daemon::now()));
  two.settle();
  CHECK_FALSE(two.a.is_up());
  CHECK(two.b.ike->is_quiet());
}

TEST_CASE("A soft lifetime that a worker reports brings new keys, a hard one another child") {
  Two two;
  two.start();
  for (const auto stage : {sa::LifetimeStage::soft, sa::LifetimeStage::hard})
    for (const auto direction : {sa::Direction::inbound, sa::Direction::outbound}) {
      const auto was = two.a.spis();
      const auto spi = direction == sa::Direction::inbound ? was.in : was.out;
      two.a.ike->lifetime_reached({direction, spi, "site", stage}, daemon::now());
      two.until([&] { return two.a.is_up() && two.b.is_up() && two.a.spis().in != was.in; });
      two.settle();
    }
}

TEST_CASE("A deleted SA goes at both ends with its child, and another is made") {
  Two two;
  two.start();
  for (const auto direction : {sa::Direction::inbound, sa::Direction::outbound}) {
    const auto was = two.a.spis();
    const auto spi = direction == sa::Direction::inbound ? was.in : was.out;
    CHECK_FALSE(two.a.ike->delete_child("site", direction, 0x777, daemon::now()));
    REQUIRE(two.a.ike->delete_child("site", direction, spi, daemon::now()));
    two.until([&] { return two.b.state_of(was.out) == "retired" && two.a.state_of(was.in) == "retired"; });
    two.until([&] { return two.a.is_up() && two.b.is_up(); });
    two.settle();
  }
}

TEST_CASE("A child whose SAs find no place in the datapath goes at the peer, too, and is made again later") {
  Two two;
  two.start();
  const auto was = two.a.spis();
  two.a.sas.engine.refuse = true;
  REQUIRE(two.a.ike->rekey("site", daemon::IkeService::What::child, daemon::now()));
  two.until([&] { return !two.a.is_up() && !two.b.is_up(); });
  CHECK_THAT(two.a.ike->down_because("site"), Contains("SA was not installed: refused"));
  // Nothing is sent on what the peer has no more.
  CHECK(two.a.spis().out == 0);
  CHECK(two.a.ike->core().ike_sas().size() == 1);
  two.settle();
  two.a.sas.engine.refuse = false;
  two.until([&] { return two.a.is_up() && two.b.is_up(); });
  CHECK(two.a.spis().in != was.in);
  CHECK(two.b.spis() == two.a.spis().turned());
}

TEST_CASE("A negotiation that fails says what both sides offered, and which comparison failed") {
  const struct {
    const char *for_a, *for_b;
    std::vector<const char*> at_a, at_b;
  } cases[] = {
      {"suites = [ \"aes128-gcm16\" ];",
       "suites = [ \"aes256-gcm16\" ];",
       {"NO_PROPOSAL_CHOSEN", "aes128-gcm16"},
       {"it offered 1: aes128-gcm16", "allows 1: aes256-gcm16"}},
      {"child-suites = [ \"aes128-gcm16\" ];",
       "child-suites = [ \"aes256-gcm16\" ];",
       {"NO_PROPOSAL_CHOSEN", "aes128-gcm16", "between 10.1.0.0/16 and 10.2.0.0/16"},
       {"it offered 1: aes128-gcm16", "we allow 1: aes256-gcm16"}},
      {"local-id = \"other.example.org\";",
       "",
       {"does not accept that we are other.example.org"},
       {"it is other.example.org", "expects 192.0.2.1"}},
      {"remote-id = \"hq.example.org\";",
       "",
       {"or is not hq.example.org"},
       {"asks for hq.example.org", "is 192.0.2.2"}},
      {"remote-id = \"*.example.org\";", "", {"the peer is 192.0.2.2", "expects *.example.org"}, {}},
  };
  for (const auto& failing : cases) {
    Two two;
    two.a.configure(std::string(psk) + failing.for_a);
    two.b.configure(std::string(psk) + "start = \"passive\";" + failing.for_b);
    const auto told = [](Side& side) { return side.said() + side.ike->core().last_failure("site"); };
    const auto has = [&](Side& side, const std::vector<const char*>& all) {
      return std::ranges::all_of(
          all, [&](const char* part) { return told(side).find(part) != std::string::npos; });
    };
    INFO(failing.for_a << failing.for_b);
    two.until([&] { return has(two.a, failing.at_a) && has(two.b, failing.at_b); });
    CHECK_FALSE(two.a.is_up());
  }
}

TEST_CASE("The limits of the configuration are the core's: where they say so a stranger must show a COOKIE") {
  Two two;
  const config::test::Folder folder;
  const auto strict = config::load(folder.write(
      "espgate.conf", fmt::format("{}limits = {{ ike-cookies-from = 0; }};", config::test::minimal)));
  REQUIRE(strict.configuration);
  two.b.ike.emplace(two.b.parts(), strict.configuration->limits);
  two.a.configure(std::string(psk));
  two.b.configure(std::string(psk) + "start = \"passive\";");
  std::vector<std::uint8_t> greeting;
  for (int i = 0; i < 5'000 && greeting.empty(); ++i) {
    pollfd work{two.a.ike->descriptor(), POLLIN, 0};
    if (poll(&work, 1, 1) > 0) two.a.ike->deliver();
    two.a.ike->run_timers(daemon::now());
    greeting = two.a.take();
  }
  REQUIRE_FALSE(greeting.empty());
  two.b.ike->received(framed(greeting), daemon::now());
  const auto answer = two.b.take();
  REQUIRE_FALSE(answer.empty());
  constexpr std::size_t notify_type_at = 20 + 8 + 28 + 6;
  CHECK((answer[notify_type_at] << 8 | answer[notify_type_at + 1]) == 16'390);  // COOKIE
  CHECK(two.b.ike->core().half_open() == 0);
  two.a.ike->received(framed(answer), daemon::now());
  two.until([&] { return two.a.is_up() && two.b.is_up(); });
}

}  // namespace
}  // namespace espgate::test
