#include "control/recovery/token_secrets.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "control/sa/state_file.hpp"

namespace espgate::recovery {
namespace {

constexpr std::size_t secret_bytes = 32;

// As it is in the file.
struct Record {
  std::int64_t given_out_s = 0;  // so far
  std::array<std::uint8_t, secret_bytes> bytes{};
};
static_assert(sizeof(Record) == 40);

constexpr std::int64_t seconds_of(std::chrono::seconds time) {
  return time.count();
}

struct Records {
  std::array<Record, 2> each{};
  std::size_t count = 0;
  ~Records() { explicit_bzero(each.data(), sizeof each); }
};

Error failed(std::string what) {
  return {std::move(what), "after a crash, peers that only they can begin with will find out by themselves"};
}

Error failed(std::string_view what, const std::string& path) {
  return failed(fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)));
}

// Nobody chooses one of zeros, but a disk may leave them behind.
bool is_secret(const Record& record) {
  return std::ranges::any_of(record.bytes, [](std::uint8_t byte) { return byte != 0; });
}

bool write_file(const std::string& path, const Records& records) {
  const auto fresh = path + ".new";
  const auto file = sa::make_state_file(fresh);
  if (!file) return false;
  return sa::write_all(file.get(), records.each.data(), records.count * sizeof(Record)) &&
         fsync(file.get()) == 0 && rename(fresh.c_str(), path.c_str()) == 0;
}

// The newest becomes the one before.
void make_another(Records& records, const std::function<void(std::span<std::uint8_t>)>& random) {
  records.each[1] = records.each[0];
  records.each[0].given_out_s = 0;
  random(records.each[0].bytes);
  // The lowest bit of the first byte tells it from the one before.
  auto& first = records.each[0].bytes[0];
  if (records.count != 0) first = static_cast<std::uint8_t>((first & ~1) | (~records.each[1].bytes[0] & 1));
  records.count = records.count == 0 ? 1 : 2;
}

}  // namespace

Expected<TokenSecrets> token_secrets(const std::string& folder, std::chrono::seconds given_out,
                                     const std::function<void(std::span<std::uint8_t>)>& random) {
  const auto path = folder + "/crash-token-secrets";
  TokenSecrets result;
  Records records;
  {
    const auto file = sa::open_state_file(path, S_IRWXG | S_IRWXO);
    if (!file) return failed(file.error().what);
    const auto got = *file ? sa::read_up_to(file->get(), records.each.data(), sizeof records.each) : 0;
    if (!got) return failed("read", path);
    if (*got % sizeof(Record) == 0) records.count = *got / sizeof(Record);
    const auto end = records.each.begin() + static_cast<std::ptrdiff_t>(records.count);
    const auto good = std::remove_if(records.each.begin(), end, std::not_fn(is_secret));
    if (*file && (records.count == 0 || good != end))
      result.problem = Error{path + " is damaged, and not all of its secrets can be read",
                             "peers that had their tokens by others will find out of a crash by themselves"};
    records.count = static_cast<std::size_t>(good - records.each.begin());
  }
  auto& newest = records.each[0].given_out_s;
  const bool is_good = records.count != 0 && newest >= 0 && newest < seconds_of(secret_life);
  if (is_good) newest += given_out.count();
  const bool is_old = !is_good || newest >= seconds_of(secret_life);
  if (is_old) make_another(records, random);
  if ((is_old || result.problem || given_out.count() > 0) && !write_file(path, records))
    return failed("write", path);
  for (std::size_t i = 0; i < records.count; ++i)
    result.secrets.emplace_back(
        std::vector<std::uint8_t>(records.each[i].bytes.begin(), records.each[i].bytes.end()));
  return result;
}

}  // namespace espgate::recovery
