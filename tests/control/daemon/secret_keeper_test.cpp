#include "control/daemon/secret_keeper.hpp"

#include <catch2/catch.hpp>
#include <filesystem>

#include "control/recovery/token_secrets.hpp"
#include "tests/control/config/sample.hpp"
#include "tests/control/daemon/looped.hpp"

using namespace espgate;
using namespace std::chrono_literals;
using daemon::SecretKeeper;

namespace secret_keeper_test {
namespace {

struct Kept {
  Kept() { std::filesystem::create_directory(path); }
  bool ticks(std::chrono::nanoseconds later) {
    const auto before = used.size() + lines.size();
    now.steady += later;
    return looped.until([&] {
      keeper.tick(now);
      return used.size() + lines.size() != before;
    });
  }

  test::Looped looped;
  config::test::Folder folder;
  const std::string path = folder.path("state");
  std::vector<std::vector<Secret>> used;
  std::vector<std::string> lines;
  SecretKeeper keeper{looped.loop,
                      path,
                      [this](auto secrets) { used.push_back(std::move(secrets)); },
                      [this](sa::Severity, std::string_view line) { lines.emplace_back(line); },
                      {}};
  Moment now{5h, {}};
};

}  // namespace

TEST_CASE("a secret is renewed by how long it was given out, whatever the clock of the day says") {
  Kept kept;
  kept.keeper.start(kept.now);
  REQUIRE(kept.used.size() == 1);
  const auto first = kept.used[0];
  kept.keeper.tick(kept.now);
  for (const int years : {-50, 50, 0}) {
    kept.now.wall += std::chrono::hours(years * 8'766);
    REQUIRE(kept.ticks(1h));
    CHECK(kept.used.back() == first);
  }
  REQUIRE(kept.ticks(recovery::secret_life));
  REQUIRE(kept.used.back().size() == 2);
  CHECK(kept.used.back()[1] == first[0]);
  CHECK(kept.lines.empty());
}

TEST_CASE("what could not be written is said, what was used stays in use, and the time counts later") {
  Kept kept;
  kept.keeper.start(kept.now);
  const auto& path = kept.path;
  std::filesystem::rename(path, path + "-gone");
  REQUIRE(kept.ticks(recovery::secret_life / 2));
  CHECK(kept.used.size() == 1);
  CHECK(kept.lines.size() == 1);
  std::filesystem::rename(path + "-gone", path);
  REQUIRE(kept.ticks(recovery::secret_life / 2));
  CHECK(kept.used.back().size() == 2);
}

}  // namespace secret_keeper_test
