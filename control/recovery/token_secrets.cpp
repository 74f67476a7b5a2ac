#include "control/recovery/token_secrets.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace espgate::recovery {
namespace {

constexpr std::size_t secret_bytes = 32;

// As it is in the file.
struct Record {
  std::int64_t made_s = 0;  // since 1970
  std::array<std::uint8_t, secret_bytes> bytes{};
};
static_assert(sizeof(Record) == 40);

struct Records {
  std::array<Record, 2> each{};
  std::size_t count = 0;
  ~Records() { explicit_bzero(each.data(), sizeof each); }
};

Error failed(std::string_view what, const std::string& path) {
  return {fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)),
          "after a crash, peers that only they can begin with will find out by themselves"};
}

bool write_all(const std::string& path, const Records& records) {
  const auto fresh = path + ".new";
  const int file = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return false;
  const auto bytes = records.count * sizeof(Record);
  const bool written =
      write(file, records.each.data(), bytes) == static_cast<ssize_t>(bytes) && fsync(file) == 0;
  close(file);
  return written && rename(fresh.c_str(), path.c_str()) == 0;
}

}  // namespace

Expected<std::vector<Secret>> token_secrets(const std::string& folder, WallTime now,
                                            const std::function<void(std::span<std::uint8_t>)>& random) {
  const auto path = folder + "/crash-token-secrets";
  Records records;
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0 && errno != ENOENT) return failed("read", path);
  if (file >= 0) {
    const auto got = read(file, records.each.data(), sizeof records.each);
    close(file);
    if (got > 0 && got % static_cast<ssize_t>(sizeof(Record)) == 0)
      records.count = static_cast<std::size_t>(got) / sizeof(Record);
  }
  const auto now_s = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch());
  const auto age = now_s - std::chrono::seconds(records.each[0].made_s);
  // One that is of the future is of a clock that was wrong.
  if (records.count == 0 || age >= secret_life || age < -secret_life) {
    records.each[1] = records.each[0];
    records.each[0].made_s = now_s.count();
    random(records.each[0].bytes);
    // The lowest bit of the first byte tells it from the one before.
    auto& first = records.each[0].bytes[0];
    if (records.count != 0) first = static_cast<std::uint8_t>((first & ~1) | (~records.each[1].bytes[0] & 1));
    records.count = records.count == 0 ? 1 : 2;
    if (!write_all(path, records)) return failed("write", path);
  }
  std::vector<Secret> secrets;
  for (std::size_t i = 0; i < records.count; ++i)
    secrets.emplace_back(
        std::vector<std::uint8_t>(records.each[i].bytes.begin(), records.each[i].bytes.end()));
  return secrets;
}

}  // namespace espgate::recovery
