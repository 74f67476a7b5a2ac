#include "control/daemon/background_load.hpp"

#include <catch2/catch.hpp>

#include "tests/control/config/sample.hpp"

namespace espgate::test {
namespace {

using namespace std::chrono_literals;
using daemon::BackgroundLoad;
using daemon::EventLoop;

constexpr std::size_t connections = 3'000;

TEST_CASE("A file is read while the loop goes on, and the loop's thread gets the result") {
  const config::test::Folder folder;
  const auto file = folder.write("espgate.conf", config::test::generated(connections));
  EventLoop loop;
  BackgroundLoad load(loop);
  unsigned rounds = 0;
  loop.poll("test", [&] {
    ++rounds;
    return 0u;
  });
  std::thread::id told;
  std::optional<config::LoadResult> result;
  load.start(file, [&](config::LoadResult loaded) {
    told = std::this_thread::get_id();
    CHECK_FALSE(load.running());
    result = std::move(loaded);
    loop.stop();
  });
  CHECK(load.running());
  CHECK_FALSE(result);
  loop.run();
  CHECK(told == std::this_thread::get_id());
  REQUIRE(result);
  REQUIRE(result->configuration);
  CHECK(result->configuration->connections.size() == connections);
  CHECK(rounds > 10);
}

TEST_CASE("A bad file gives its errors, and the next file is read after it") {
  const config::test::Folder folder;
  const auto bad = folder.write("bad.conf", "ports = ( );\nidle = \"never\";\n");
  const auto good = folder.write("good.conf", config::test::minimal);
  EventLoop loop;
  BackgroundLoad load(loop);
  std::vector<bool> usable;
  load.start(bad, [&](const config::LoadResult& first) {
    CHECK(first.errors.size() == 2);
    usable.push_back(first.configuration.has_value());
    load.start(good, [&](const config::LoadResult& second) {
      CHECK(second.errors.empty());
      usable.push_back(second.configuration.has_value());
      loop.stop();
    });
  });
  loop.run();
  CHECK(usable == std::vector{false, true});
}

TEST_CASE("A reading under way ends with its owner, and nobody is told") {
  const config::test::Folder folder;
  const auto file = folder.write("espgate.conf", config::test::generated(connections));
  EventLoop loop;
  bool told = false;
  {
    BackgroundLoad load(loop);
    load.start(file, [&](const config::LoadResult&) { told = true; });
  }
  loop.every("test", 20ms, [&] { loop.stop(); });
  loop.run();
  CHECK_FALSE(told);
}

TEST_CASE("A load that is told to stop gives up without a configuration or an error") {
  const config::test::Folder folder;
  std::stop_source stop;
  stop.request_stop();
  const auto result = config::load(folder.write("espgate.conf", config::test::minimal), stop.get_token());
  CHECK_FALSE(result.configuration);
  CHECK(result.errors.empty());
}

}  // namespace
}  // namespace espgate::test
