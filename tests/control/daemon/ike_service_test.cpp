#include <fmt/format.h>

#include "tests/control/daemon/two_services.hpp"

namespace espgate::test {
namespace {

using Catch::Contains;

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

TEST_CASE("What is not there gets no new keys, and who asks hears so") {
  Two two;
  two.start();
  REQUIRE(two.a.ike->terminate("site", daemon::now()));
  two.until([&] { return !two.a.is_up() && two.a.ike->core().is_quiet(); });
  for (const auto& [what, name] :
       {std::pair{daemon::IkeService::What::child, "child"}, {daemon::IkeService::What::ike, "IKE"}}) {
    const auto asked = two.a.ike->rekey("site", what, daemon::now());
    REQUIRE_FALSE(asked);
    CHECK_THAT(asked.error().text(), Contains(fmt::format("site has no {} SA to replace", name)));
  }
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

TEST_CASE("Another nat-keepalive is in force at once, for the SAs that are there") {
  Two two;
  two.start();
  const auto before = two.a.spis();
  const auto keepalive = [&] {
    return two.a.ike->core().ike_sas_of("site").at(0)->connection()->nat_keepalive;
  };
  REQUIRE(keepalive() == 20s);
  two.a.settings = "nat-keepalive = 3;";
  const auto change = two.a.configure(std::string(psk));
  CHECK((change.kept == 1 && change.changed + change.added + change.removed == 0));
  CHECK(keepalive() == 3s);
  two.settle();
  CHECK(two.a.spis() == before);
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

TEST_CASE("What is terminated stays down though its peer goes on sending") {
  Two two;
  two.start();
  sa::SpiMiss miss{};
  miss.family = net::Family::v4;
  miss.spi = two.a.spis().in;
  const auto peer = net::parse_address("192.0.2.2").value();
  std::copy_n(peer.bytes.begin(), 4, miss.source);
  CHECK(two.a.ike->repair("site", miss, daemon::now()) == recovery::Repair::told);
  two.settle();
  CHECK(two.a.is_up());  // it is in use

  REQUIRE(two.a.ike->terminate("site", daemon::now()));
  two.until([&] { return !two.a.is_up(); });
  two.settle();
  CHECK(two.a.ike->repair("site", miss, daemon::now()) == recovery::Repair::terminated);
  two.settle();
  CHECK_FALSE(two.a.is_up());
  REQUIRE(two.a.ike->initiate("site", daemon::now()));
  CHECK(two.a.ike->repair("site", miss, daemon::now()) == recovery::Repair::under_way);
  two.until([&] { return two.a.is_up() && two.b.is_up(); });
  CHECK(two.a.ike->repair("site#1", miss, daemon::now()) == recovery::Repair::told);
  CHECK(two.a.ike->repair("another", miss, daemon::now()) == recovery::Repair::told);  // by its address
  miss.source[3] = 77;
  CHECK(two.a.ike->repair("another", miss, daemon::now()) == recovery::Repair::no_ike);
}

TEST_CASE("An SPI that nobody had may be of any connection with that peer, so all of them are repaired") {
  Two two;
  two.a.settings = "invalid-spi-recovery = \"off\";";
  two.a.more = fmt::format(
      ", {{ name = \"also\"; local = \"192.0.2.1\"; remote = \"192.0.2.2\"; local-networks = [ "
      "\"10.5.0.0/24\" ]; "
      "remote-networks = [ \"10.6.0.0/24\" ]; ike = {{ {} start = \"passive\"; local-id = \"also.example\"; "
      "}}; }}",
      psk);
  two.start();
  sa::SpiMiss miss{};
  miss.family = net::Family::v4;
  miss.spi = 0x4711;
  const auto peer = net::parse_address("192.0.2.2").value();
  std::copy_n(peer.bytes.begin(), 4, miss.source);
  using Reach = ike::IkeCore::Reach;
  CHECK(two.a.ike->core().reach("also") == Reach::possible);
  CHECK(two.a.ike->repair("site", miss, daemon::now()) == recovery::Repair::begun);
  CHECK(two.a.ike->core().reach("also") == Reach::beginning);
  // One whose connection is known is that connection's alone.
  miss.spi = two.a.spis().in;
  CHECK(two.a.ike->repair("site", miss, daemon::now()) == recovery::Repair::turned_off);
}

TEST_CASE("A token that cannot go yet is said to be on its way, one too many to come later") {
  const config::test::Folder folder;
  const auto journal = sa::SpiJournal::open(folder.path("."), 8);
  REQUIRE(journal);
  const auto peer = net::parse_address("198.51.100.7").value();
  REQUIRE((*journal)->note(0x1001, {peer, "road", 0x1111, 0x2222, false}, daemon::now()));
  const auto forwarding = forward::Forwarding::create({}, SOCKET_ID_ANY, nullptr, nullptr);
  REQUIRE(forwarding);
  Side a("a");
  a.more = fmt::format(
      ", {{ name = \"road\"; local = \"192.0.2.1\"; remote = \"any\"; local-networks = [ \"10.5.0.0/24\" ]; "
      "remote-networks = [ \"10.6.0.0/24\" ]; ike = {{ {} remote-id = \"%any\"; }}; }}",
      psk);
  auto parts = a.parts();
  parts.spi_journal = journal->get();
  parts.forwarding = forwarding->get();
  a.ike.emplace(parts, config::Limits{});
  a.configure(std::string(psk));
  a.ike->set_token_secrets({Secret(std::vector<std::uint8_t>(32, 2))});
  REQUIRE(a.sas.manager.reserve("road", 0x1001, daemon::now()));
  REQUIRE(a.sas.manager.reserve("road", 0x1002, daemon::now()));
  const auto way = [&](forward::HopKind kind) {
    forward::Hop hop;
    hop.kind = kind;
    REQUIRE((*forwarding)->set_route({peer, 24}, (*forwarding)->add_hop(hop).value()));
  };
  // Each from another address, so that there is room for some.
  std::uint8_t host = 5;
  const auto repair = [&](std::uint32_t spi = 0x1001, std::uint16_t packet_bytes = 200) {
    sa::SpiMiss miss{};
    miss.family = net::Family::v4;
    miss.spi = spi;
    miss.packet_bytes = packet_bytes;
    std::copy_n(peer.bytes.begin(), 4, miss.source);
    miss.source[3] = ++host;
    return a.ike->repair("road", miss, daemon::now());
  };
  using recovery::Repair;
  way(forward::HopKind::glean);
  CHECK(repair() == Repair::queued);
  way(forward::HopKind::resolved);
  CHECK(repair() == Repair::token);  // to where the SPI's peer was, of which IKE is noted from here on
  const auto said = a.ike->history_of(peer, "road");
  REQUIRE(said.size() == 1);
  CHECK(said[0].detail == "INFORMATIONAL begun by us: 1 begun, 0 answered, 0 repeated");
  CHECK(a.ike->history_of(net::parse_address("198.51.100.6").value(), "road").empty());
  CHECK(repair(0x1001, 60) == Repair::only_peer);  // no room for a token
  CHECK(repair(0x1002) == Repair::only_peer);      // it is from no IKE SA
  std::optional<Repair> meanwhile;
  a.configure(std::string(psk), true, [&] {
    if (!meanwhile) meanwhile = repair();
  });
  CHECK(meanwhile == Repair::queued);
  while (repair() == Repair::token) REQUIRE(host < 200);
  CHECK(repair() == Repair::limited);
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
    const auto told = [](Side& side) {
      return side.said() + side.ike->core().last_failure("site", daemon::now().steady);
    };
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
    two.a.ike->run_timer(daemon::now());
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
