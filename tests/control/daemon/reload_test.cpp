// Reloads against the kernel's own routes, in a network namespace.
#include "control/daemon/reload.hpp"

#include <set>

#include "control/config/schema.hpp"
#include "control/daemon/reloader.hpp"
#include "drivers/host/netlink_mirror.hpp"
#include "tests/control/config/sample.hpp"
#include "tests/control/sa/surroundings.hpp"
#include "tests/drivers/host/namespace_tools.hpp"

namespace espgate::test {
namespace {

using Catch::Contains;

// A twin with 10.0.0.1/24, the kernel's view of it, and a SaManager; nothing is configured yet.
struct Running {
  host::Tap twin = make_tap("twin0", 1);
  host::KernelCommands kernel = host::KernelCommands::create().value();
  std::unique_ptr<host::NetlinkMirror> mirror;
  sa::test::Surroundings sas;
  config::Configuration current;

  Running() {
    REQUIRE(kernel.add_address(twin.ifindex(), interface_address("10.0.0.1/24")));
    host::NetlinkMirror::Options options;
    options.ifindexes = {twin.ifindex()};
    mirror = host::NetlinkMirror::create(options).value();
    REQUIRE(mirror->start([](const host::Event&) {}));
    current.file = "espgate.conf";
  }
  daemon::Reloaded reload(config::Configuration wanted) {
    wait_for([&] {
      mirror->on_readable();
      mirror->tick(host::NetlinkMirror::Clock::now());
      return mirror->settled();
    });
    return daemon::put_in_force(wanted, parts(), sas.now);
  }
  daemon::Reloadable parts() { return {current, sas.manager, kernel, mirror->view()}; }
};

config::Configuration with_routes(std::initializer_list<std::pair<const char*, const char*>> routes) {
  config::Configuration result;
  result.file = "espgate.conf";
  result.files = {"espgate.conf"};
  for (unsigned line = 10; const auto& [to, via] : routes)
    result.routes.push_back({prefix(to), address(via), line++, 0});
  return result;
}

std::vector<std::string> routes_of(const config::Configuration& configuration) {
  std::vector<std::string> result;
  for (const auto& route : configuration.routes)
    result.push_back(net::to_string(route.to) + " via " + net::to_string(route.via));
  std::ranges::sort(result);
  return result;
}

bool kernel_shows(const std::string& route) {
  return output_of("ip route").find(route) != std::string::npos;
}

TEST_CASE("Routes come, change their gateway and go") {
  Running running;
  CHECK(running.reload(with_routes({{"10.8.0.0/16", "10.0.0.2"}, {"10.9.0.0/16", "10.0.0.2"}}))
            .problems.empty());
  CHECK(kernel_shows("10.8.0.0/16 via 10.0.0.2"));
  const auto reloaded = running.reload(with_routes({{"10.8.0.0/16", "10.0.0.3"}}));
  CHECK(reloaded.problems.empty());
  CHECK(reloaded.changes["changes"][1] ==
        nlohmann::json{{"what", "routes"}, {"added", 0}, {"removed", 1}, {"changed", 1}, {"kept", 0}});
  CHECK(kernel_shows("10.8.0.0/16 via 10.0.0.3"));
  CHECK_FALSE(kernel_shows("10.9.0.0/16"));
  CHECK(routes_of(running.current) == std::vector<std::string>{"10.8.0.0/16 via 10.0.0.3"});
}

TEST_CASE("A route that somebody removed by hand can leave the file") {
  Running running;
  REQUIRE(running.reload(with_routes({{"10.8.0.0/16", "10.0.0.2"}})).problems.empty());
  run("ip route del 10.8.0.0/16");
  const auto reloaded = running.reload(with_routes({}));
  CHECK(reloaded.problems.empty());
  CHECK(running.current.routes.empty());
}

TEST_CASE("A route that somebody added by hand can enter the file, and stays theirs when it leaves it") {
  Running running;
  run("ip route add 10.8.0.0/16 via 10.0.0.2");
  CHECK(running.reload(with_routes({{"10.8.0.0/16", "10.0.0.2"}})).problems.empty());
  CHECK(running.current.routes.size() == 1);
  CHECK(running.reload(with_routes({})).problems.empty());
  CHECK(running.current.routes.empty());
  CHECK(kernel_shows("10.8.0.0/16 via 10.0.0.2"));
}

TEST_CASE("Routes that the kernel refuses keep neither others nor SAs back, and are tried again") {
  Running running;
  run("ip route add 10.8.0.0/16 via 10.0.0.99");  // somebody else's: not where we want it
  auto wanted =
      with_routes({{"10.8.0.0/16", "10.0.0.2"}, {"10.9.0.0/16", "172.31.0.1"}, {"10.10.0.0/16", "10.0.0.2"}});
  wanted.connections = {sa::test::connection(1)};
  auto reloaded = running.reload(wanted);
  REQUIRE(reloaded.problems.size() == 2);
  CHECK_THAT(reloaded.problems[0], Contains("espgate.conf:10: ") && Contains("10.8.0.0/16"));
  CHECK_THAT(reloaded.problems[1], Contains("espgate.conf:11: ") && Contains("172.31.0.1"));
  CHECK(routes_of(running.current) == std::vector<std::string>{"10.10.0.0/16 via 10.0.0.2"});
  CHECK(kernel_shows("10.10.0.0/16 via 10.0.0.2"));
  CHECK(running.sas.outbound_spi(prefix("20.0.1.0/24")) == 0x2001);
  CHECK(running.current.connections.size() == 1);

  const auto answer = daemon::answer(std::move(reloaded));
  REQUIRE(!answer);
  CHECK_THAT(answer.error().what, Contains("2 things") && Contains("10.8.0.0/16") &&
                                      Contains("10.9.0.0/16") && !Contains("10.10.0.0"));

  run("ip route del 10.8.0.0/16");
  run("ip addr add 172.31.0.2/24 dev twin0");
  const auto again = running.reload(wanted);
  CHECK(again.problems.empty());
  CHECK(again.changes["changes"][0]["kept"] == 1);
  CHECK(running.current.routes.size() == 3);
}

// By kind, what came of those that are not as before: "routes added"; and what waits for a restart.
std::set<std::string> told(const nlohmann::json& changes) {
  std::set<std::string> all(changes["restart_needed"].begin(), changes["restart_needed"].end());
  for (const auto& row : changes["changes"])
    for (const auto* how : {"added", "removed", "changed"})
      if (row[how] != 0) all.insert(fmt::format("{} {}", row["what"].get<std::string>(), how));
  return all;
}

TEST_CASE("What is in force at once of the file as a whole is told of when it differs") {
  Running running;
  auto wanted = with_routes({});
  CHECK(told(running.reload(wanted).changes).empty());
  wanted.on_invalid_spi = {"/usr/local/sbin/tell", 65534, 65534};
  wanted.debug_keys_export = true;
  CHECK(told(running.reload(wanted).changes) ==
        std::set<std::string>{"on-invalid-spi added", "debug-keys-export added"});
  CHECK(running.current.on_invalid_spi == wanted.on_invalid_spi);
  CHECK(told(running.reload(wanted).changes).empty());
  wanted.on_invalid_spi.uid = 1000;  // another hook-user
  CHECK(told(running.reload(wanted).changes) == std::set<std::string>{"on-invalid-spi changed"});
  CHECK(told(running.reload(with_routes({})).changes) ==
        std::set<std::string>{"on-invalid-spi removed", "debug-keys-export removed"});
  CHECK(running.current.on_invalid_spi.program.empty());
}

TEST_CASE("Every setting of the file has its place in what a reload tells") {
  Running running;
  config::Configuration other;
  other.file = "espgate.conf";
  other.socket = other.state_directory = other.crypto_engine = other.log_level = "another";
  other.control_cpu = 7;
  other.worker_cpus = {7};
  other.hugepages = other.path_mtu_discovery = false;
  other.memory_mb = other.idle_sleep_us = 77;
  other.idle = config::Idle::spin;
  other.limits.routes = 7;
  other.ports.resize(1);
  const auto changes = running.reload(other).changes;
  std::set<std::string> names(changes["restart_needed"].begin(), changes["restart_needed"].end());
  for (const auto& row : changes["changes"]) names.insert(row["what"]);
  names.insert("hook-user");  // with on-invalid-spi
  for (const auto& key : config::top_level().keys) {
    CAPTURE(key.name);
    CHECK(names.contains(std::string(key.name)));
  }
}

TEST_CASE("Of very many problems the answer shows some and counts the rest") {
  daemon::Reloaded reloaded;
  for (int i = 0; i < 25; ++i) reloaded.problems.push_back(fmt::format("problem {};", i));
  const auto answer = daemon::answer(std::move(reloaded));
  REQUIRE(!answer);
  CHECK_THAT(answer.error().what, Contains("problem 0;") && Contains("problem 9;") &&
                                      !Contains("problem 10;") && Contains("and 15 more"));
}

TEST_CASE("One reload at a time; with an error in the file nothing changes") {
  Running running;
  const config::test::Folder folder;
  running.current.file = folder.write("espgate.conf", config::test::minimal);
  running.current.policies.emplace_back().selector = net::between(prefix("0.0.0.0/0"), prefix("10.1.0.0/16"));
  REQUIRE(running.sas.manager.configure(running.current, running.sas.now).policies.added == 1);
  daemon::EventLoop loop;
  int caught_up = 0;
  daemon::Journal journal;
  daemon::Reloader reloader(loop, running.parts(), journal, [&] { ++caught_up; });
  std::vector<Expected<nlohmann::json>> answers;
  const auto note = [&](const Expected<nlohmann::json>& answer) {
    answers.push_back(answer);
    loop.stop();
  };
  REQUIRE(reloader.start(note));
  const auto second = reloader.start(note);
  REQUIRE(!second);
  CHECK_THAT(second.error().what, Contains("a reload is under way"));
  loop.run();
  REQUIRE(answers.size() == 1);
  REQUIRE(answers[0]);
  CHECK((*answers[0])["changes"][2]["removed"] == 1);
  CHECK(caught_up == 1);
  CHECK(running.current.policies.empty());

  running.current.routes = {{prefix("10.8.0.0/16"), address("10.0.0.2")}};
  folder.write("espgate.conf", "nonsense");
  daemon::EventLoop other;
  daemon::Reloader again(other, running.parts(), journal, [&] { ++caught_up; });
  REQUIRE(again.start([&](const Expected<nlohmann::json>& answer) {
    answers.push_back(answer);
    other.stop();
  }));
  other.run();
  REQUIRE(answers.size() == 2);
  REQUIRE(!answers[1]);
  CHECK_THAT(answers[1].error().what, Contains("nothing was changed"));
  CHECK(running.current.routes.size() == 1);
  CHECK(caught_up == 1);
}

}  // namespace
}  // namespace espgate::test
