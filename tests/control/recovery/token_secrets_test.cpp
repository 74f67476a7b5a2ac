#include "control/recovery/token_secrets.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace espgate;
using namespace espgate::recovery;

namespace {

struct Folder {
  Folder() {
    char name[] = "/tmp/espgate-secrets-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::vector<Secret> load(std::chrono::seconds given_out = {}) {
    auto secrets = token_secrets(path, given_out, [this](auto bytes) { std::ranges::fill(bytes, ++made); });
    REQUIRE(secrets);
    was_damaged = secrets->problem.has_value();
    return secrets->secrets;
  }
  std::string file() const { return path + "/crash-token-secrets"; }
  std::string path;
  std::uint8_t made = 0;
  bool was_damaged = false;
};

const Secret first(std::vector<std::uint8_t>(32, 1)), second(std::vector<std::uint8_t>(32, 2)),
    third(std::vector<std::uint8_t>(32, 3));

}  // namespace

TEST_CASE("a secret outlives a restart, and nobody else may read it") {
  Folder folder;
  CHECK(folder.load() == std::vector{first});
  CHECK(folder.load() == std::vector{first});
  CHECK(folder.made == 1);
  struct stat status {};
  REQUIRE(stat(folder.file().c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("given out for a month, another one is, and the one before is good still") {
  Folder folder;
  folder.load();
  const auto days = [&](int count) {
    std::vector<Secret> secrets;
    for (int day = 0; day < count; ++day) secrets = folder.load(std::chrono::hours(24));
    return secrets;
  };
  CHECK(days(29) == std::vector{first});
  CHECK(folder.load() == std::vector{first});  // a restart
  CHECK(days(1) == std::vector{second, first});
  CHECK(folder.load() == std::vector{second, first});
  CHECK(days(29) == std::vector{second, first});
  CHECK(days(1) == std::vector{third, second});
}

TEST_CASE("a file that has when its secret was made, or nonsense, is of one that is good still") {
  Folder folder;
  folder.load();
  const std::int64_t time = GENERATE(std::int64_t{1'700'000'000}, std::int64_t{-5}, std::int64_t{1} << 62);
  {
    std::fstream file(folder.file(), std::ios::in | std::ios::out | std::ios::binary);
    file.write(reinterpret_cast<const char*>(&time), sizeof time);
  }
  CHECK(folder.load() == std::vector{second, first});
  CHECK(folder.load(std::chrono::hours(1)) == std::vector{second, first});
}

TEST_CASE("two that follow each other differ in the bit by which they are told apart") {
  Folder folder;
  folder.made = 1;  // the next one has 2, and the one after that would have 4
  const auto bit = [](const Secret& secret) { return secret.bytes()[0] & 1; };
  folder.load();
  folder.made = 3;
  const auto secrets = folder.load(secret_life);
  REQUIRE(secrets.size() == 2);
  CHECK(bit(secrets[0]) != bit(secrets[1]));
}

TEST_CASE("a file that is not what it should be is replaced, a folder that is not there is an error") {
  Folder folder;
  folder.load();
  CHECK_FALSE(folder.was_damaged);
  std::ofstream(folder.file(), std::ios::trunc) << "short";
  CHECK(folder.load() == std::vector{second});
  CHECK(folder.was_damaged);
  CHECK(folder.load() == std::vector{second});
  CHECK_FALSE(folder.was_damaged);
  std::filesystem::remove(folder.file());
  std::filesystem::create_directory(folder.file());
  CHECK_THAT(token_secrets(folder.path, {}, [](auto) {}).error().text(),
             Catch::Contains("is not a regular file"));
  folder.path += "/no";
  CHECK_FALSE(token_secrets(folder.path, {}, [](auto) {}));
}

TEST_CASE("zeros that a disk left behind are no secret that anybody could guess") {
  Folder folder;
  folder.load();
  folder.load(secret_life);
  const auto zero = GENERATE(0, 1);  // the newest, or the one before
  {
    std::fstream file(folder.file(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(40 * zero + 8);
    file << std::string(32, '\0');
  }
  // The third has 2 and 3s: it follows the first, of whose lowest bit it has not the same.
  std::vector<std::uint8_t> third_bytes(32, 3);
  third_bytes[0] = 2;
  const auto left = zero == 0 ? std::vector{Secret(third_bytes), first} : std::vector{second};
  CHECK(folder.load() == left);
  CHECK(folder.was_damaged);
  CHECK(folder.load() == left);
  CHECK_FALSE(folder.was_damaged);
}

TEST_CASE("secrets that others may have read or chosen are not used, and no others put in their place") {
  Folder folder;
  folder.load();
  const auto problem = [&] {
    const auto result = token_secrets(folder.path, {}, [](auto bytes) { std::ranges::fill(bytes, 7); });
    return result ? std::string() : result.error().text();
  };
  REQUIRE(chmod(folder.file().c_str(), 0640) == 0);
  CHECK_THAT(problem(), Catch::Contains("cannot trust " + folder.file() + ": its mode 0640 lets others in"));
  REQUIRE(chmod(folder.file().c_str(), 0600) == 0);
  CHECK(folder.load() == std::vector{first});
  std::filesystem::rename(folder.file(), folder.path + "/elsewhere");
  std::filesystem::create_symlink(folder.path + "/elsewhere", folder.file());
  CHECK_THAT(problem(), Catch::Contains("cannot open " + folder.file()));
}

TEST_CASE("a new file of secrets is nobody's who prepared its place") {
  Folder folder;
  const auto prepared = folder.path + "/prepared";
  std::ofstream(prepared) << "somebody's";
  REQUIRE(chmod(prepared.c_str(), 0666) == 0);
  std::filesystem::create_hard_link(prepared, folder.file() + ".new");
  CHECK(folder.load() == std::vector{first});
  CHECK_FALSE(std::filesystem::equivalent(prepared, folder.file()));
  CHECK(std::filesystem::file_size(prepared) == std::string_view("somebody's").size());
  CHECK((std::filesystem::status(folder.file()).permissions() & std::filesystem::perms::mask) ==
        (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
}
