#include "control/daemon/evidence_service.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <sstream>

#include "tests/control/config/sample.hpp"
#include "tests/control/daemon/looped.hpp"
#include "tests/control/recovery/knowledge.hpp"

using namespace espgate;
using namespace std::chrono_literals;
using daemon::EvidenceFiles;
using daemon::EvidenceService;
using nlohmann::json;
using recovery::Class;

namespace evidence_service_test {
namespace {

constexpr std::uint32_t nobody = 65'534;

struct Rig {
  explicit Rig(bool with_files = true) {
    service.emplace(EvidenceService::Parts{
        looped.loop, journal,
        [this](sa::Severity, std::string_view line) { log += std::string(line) + "\n"; },
        [](std::uint64_t tsc) { return WallTime(std::chrono::seconds(tsc)); },
        [](const recovery::Case&) {
          return std::vector<recovery::HistoryLine>{
              {{}, {}, "SA made", "SPIs 0x00000001 in, 0x00000002 out"}};
        },
        hook, with_files ? std::optional(EvidenceFiles::open(folder.path("")).value()) : std::nullopt});
  }
  void began(std::uint32_t spi, Class kind = Class::before_restart) {
    flow.key.source = net::parse_address("192.0.2.2").value();
    flow.key.destination = net::parse_address("192.0.2.1").value();
    flow.key.spi = spi;
    flow.kind = kind;
    flow.repair = recovery::Repair::begun;
    flow.evidence = service->flow_began(flow, kind == Class::stranger ? "" : "branch", packet(spi), now);
  }
  static sa::SpiMiss packet(std::uint32_t spi) {
    auto miss = recovery::test::miss("192.0.2.2", "192.0.2.1", spi);
    miss.link_bytes = 14;
    miss.head_bytes = 100;
    miss.frame_bytes = 146;
    miss.tsc = 1'000;
    return miss;
  }
  // As time goes by, a tenth of a second each round, until so much is over.
  void pass(std::chrono::nanoseconds time) {
    const auto end = now.steady + time;
    CHECK(until([&] { return now.steady >= end; }));
  }
  bool until(std::function<bool()> holds) {
    return looped.until([this, holds] {
      if (holds()) return true;
      now.steady += 100ms;
      service->tick(now);
      usleep(2'000);  // for the thread
      return false;
    });
  }
  bool written(const char* name) const { return std::filesystem::exists(folder.path("invalid-spi/") + name); }
  json described(std::uint32_t spi) const { return service->describe(spi); }
  // A program that appends to a file what it is told.
  void set_program(const std::string& text) {
    chmod(folder.path("").c_str(), 0755);
    hook = {folder.write("program", "#!/bin/sh\n" + text + "\n", 0755), nobody, nobody};
  }

  const config::test::Folder folder;
  test::Looped looped;
  daemon::Journal journal;
  config::Hook hook;
  std::string log;
  recovery::Flow flow;
  Moment now{1h, {}};
  std::optional<EvidenceService> service;
};

}  // namespace

TEST_CASE("A flow in trouble is kept with its packets and its peer's history, and written to files") {
  Rig rig;
  rig.began(0x1001);
  CHECK(rig.flow.evidence == 1);
  for (int i = 0; i < 9; ++i) rig.service->flow_went_on(rig.flow, Rig::packet(0x1001), rig.now);
  auto described = rig.described(0x1001);
  REQUIRE(described.size() == 1);
  CHECK(described[0]["packets"] == 4);
  CHECK(described[0]["class"] == "before restart");
  CHECK(described[0]["ike"][0]["event"] == "SA made");
  CHECK(described[0]["file"].is_null());
  rig.pass(1s);
  CHECK_FALSE(rig.written("1.pcap"));  // what the peer does about it belongs to the history
  CHECK(rig.until([&] { return !rig.described(0x1001)[0]["file"].is_null(); }));
  CHECK(rig.written("1.pcap"));
  CHECK(std::filesystem::file_size(rig.folder.path("invalid-spi/1.pcap")) == 24 + 4 * (16 + 100));
  std::ifstream file(rig.folder.path("invalid-spi/1.json"));
  CHECK(json::parse(file) == rig.described(0x1001)[0]);
  CHECK(rig.described(0x1002).empty());
  CHECK(rig.log.empty());
}

TEST_CASE("One flow a second is written, a stranger's never") {
  Rig rig;
  rig.began(0x2000, Class::stranger);
  for (std::uint32_t spi = 0x1001; spi < 0x1005; ++spi) rig.began(spi);
  const auto begun = rig.now.steady;
  CHECK(rig.until([&] { return rig.written("5.json"); }));
  CHECK(rig.now.steady - begun >= 5s);
  rig.pass(5s);
  CHECK_FALSE(rig.written("1.pcap"));
  CHECK(rig.described(0x2000)[0]["ike"].size() == 1);
}

TEST_CASE("Without a folder evidence is in memory alone") {
  Rig rig(false);
  rig.began(0x1001);
  rig.pass(5s);
  CHECK(rig.described(0x1001)[0]["packets"] == 1);
  CHECK(rig.described(0x1001)[0]["file"].is_null());
  CHECK_FALSE(std::filesystem::exists(rig.folder.path("invalid-spi")));
}

TEST_CASE("The program is run once for each flow, with what happened, and after the files are there") {
  if (geteuid() != 0) return;  // nobody else may run it as another
  Rig rig;
  rig.set_program(
      "echo \"$ESPGATE_EVENT,$ESPGATE_CLASS,$ESPGATE_SPI,$ESPGATE_SOURCE,$ESPGATE_DESTINATION,"
      "$ESPGATE_CONNECTION,$ESPGATE_REPAIR,$ESPGATE_EVIDENCE\"; cat");
  rig.began(0x1001);
  CHECK(rig.until([&] { return rig.log.find("\"spi\":\"0x00001001\"") != std::string::npos; }));
  CHECK_THAT(rig.log,
             Catch::Contains("the program ended with status 0\n") &&
                 Catch::Contains("it says: invalid-spi,before restart,0x00001001,192.0.2.2,192.0.2.1,branch,"
                                 "an IKE SA with the peer was begun," +
                                 rig.folder.path("/invalid-spi/1.pcap")));
  CHECK(rig.written("1.json"));
  const auto said = rig.log;
  rig.pass(10s);
  CHECK(rig.log == said);
}

TEST_CASE("A program of a reload is not run for what was before") {
  if (geteuid() != 0) return;
  Rig rig;
  rig.began(0x1001);
  rig.pass(5s);
  rig.set_program("echo run");
  rig.pass(5s);
  CHECK(rig.log.empty());
  rig.began(0x1002);
  CHECK(rig.until(
      [&] { return rig.log.find("SPI 0x00001002 from 192.0.2.2: it says: run") != std::string::npos; }));
  rig.began(0x1003);
  rig.hook = {};  // and another reload takes it away
  rig.pass(5s);
  CHECK(rig.log.find("0x00001003") == std::string::npos);
}

TEST_CASE("More flows than a minute has room for wait, and strangers have half of it") {
  if (geteuid() != 0) return;
  Rig rig(false);
  rig.set_program("exit 0");
  const auto runs = [&](const char* spi) {
    std::size_t count = 0;
    for (auto at = rig.log.find(spi); at != std::string::npos; at = rig.log.find(spi, at + 1)) ++count;
    return count;
  };
  for (int i = 0; i < 12; ++i) rig.began(0x2000, Class::stranger);
  CHECK(rig.until([&] { return runs("SPI 0x00002000") == 5; }));
  rig.pass(10s);
  CHECK(runs("SPI 0x00002000") == 5);
  for (int i = 0; i < 12; ++i) rig.began(0x1001);
  CHECK(rig.until([&] { return runs("SPI 0x00001001") == 5; }));
  rig.pass(10s);
  CHECK(runs("SPI 0x00001001") == 5);
  rig.pass(1min);
  CHECK(rig.until([&] { return runs("SPI 0x00001001") == 12; }));
}

}  // namespace evidence_service_test
