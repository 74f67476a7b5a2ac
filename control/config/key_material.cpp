#include "control/config/key_material.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "control/config/read_file.hpp"
#include "control/config/words.hpp"
#include "datapath/base/counted.hpp"

namespace espgate::config {
namespace {

constexpr std::size_t most_key_file_bytes = 16'384;  // an RSA key of 8192 bits in PEM has 6,400

bool is_space(std::uint8_t c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int digit_value(std::uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string parts(const crypto::Suite& suite) {
  std::string text;
  const auto add = [&](unsigned bytes, std::string_view what) {
    if (bytes != 0) text += fmt::format("{}{}-byte {}", text.empty() ? "" : " + ", bytes, what);
  };
  add(suite.key_bytes, "key");
  add(suite.salt_bytes, "salt");
  add(suite.integrity_key_bytes, "integrity key");
  return text;
}

std::string generate(const crypto::Suite& suite) {
  return fmt::format("generate one with: openssl rand -hex {}", suite.keymat_bytes());
}

Error wrong_length(std::size_t bytes, const crypto::Suite& suite) {
  Error error{fmt::format("the key has {}, and {} needs {} ({})", counted(bytes, "byte"), suite.name,
                          suite.keymat_bytes(), parts(suite)),
              ""};
  // A suite that differs in the key's size only.
  const auto fits = std::ranges::find_if(crypto::suites(), [&](const crypto::Suite& other) {
    return other.keymat_bytes() == bytes && other.cipher == suite.cipher &&
           other.integrity == suite.integrity;
  });
  if (fits != crypto::suites().end())
    error.remedy = fmt::format("this length fits suite = \"{}\"; set that, or use a key of {} bytes",
                               fits->name, suite.keymat_bytes());
  else if (bytes == suite.key_bytes && suite.salt_bytes != 0 && suite.integrity_key_bytes == 0)
    error.remedy = fmt::format("append the {}-byte salt to the key", suite.salt_bytes);
  else
    error.remedy =
        fmt::format("write {} hexadecimal digits, or {}", 2 * suite.keymat_bytes(), generate(suite));
  return error;
}

}  // namespace

std::optional<Secret> decode_hexadecimal(std::span<const std::uint8_t> digits) {
  if (digits.size() % 2 != 0 || std::ranges::find(digits, -1, digit_value) != digits.end()) return {};
  std::vector<std::uint8_t> bytes(digits.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::uint8_t>(digit_value(digits[2 * i]) << 4 | digit_value(digits[2 * i + 1]));
  return Secret(std::move(bytes));
}

Expected<Secret> decode_keymat(std::span<const std::uint8_t> text, const crypto::Suite& suite) {
  while (!text.empty() && is_space(text.front())) text = text.subspan(1);
  while (!text.empty() && is_space(text.back())) text = text.first(text.size() - 1);
  const bool prefixed = text.size() >= 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
  const auto digits = text.subspan(prefixed ? 2 : 0);
  if (digits.empty()) return Error{"the key is empty", generate(suite)};
  const auto bad = std::ranges::find(digits, -1, digit_value);
  if (bad != digits.end())
    return Error{
        fmt::format("character {} of the key is not a hexadecimal digit", bad - text.begin() + 1),
        fmt::format("write {} digits 0-9 and a-f, without spaces between them", 2 * suite.keymat_bytes())};
  if (digits.size() % 2 != 0)
    return Error{fmt::format("the key has {} hexadecimal digits, an odd number, and {} needs {} ({})",
                             digits.size(), suite.name, 2 * suite.keymat_bytes(), parts(suite)),
                 "a digit is missing or one too many"};
  if (digits.size() / 2 != suite.keymat_bytes()) return wrong_length(digits.size() / 2, suite);

  return *decode_hexadecimal(digits);
}

Expected<KeyFile> read_key_file(const std::string& path) {
  auto file = read_file(path, most_key_file_bytes);
  if (!file) return std::move(file).error();
  auto& [text, mode] = *file;
  KeyFile result{Secret(std::vector<std::uint8_t>(text.begin(), text.end())), (mode & 0040U) != 0};
  cleanse(text);
  if ((mode & 0027U) != 0)
    return Error{fmt::format("{} has mode {:04o}, so others than its owner can {} the key", path, mode,
                             (mode & 0004U) != 0 ? "read" : "replace"),
                 fmt::format("chmod 600 {}, and replace the key if others may have seen it", path)};
  return result;
}

std::span<const std::uint8_t> secret_key(const Secret& keymat, const crypto::Suite& suite) {
  return std::span(keymat.bytes()).first(suite.key_bytes != 0 ? suite.key_bytes : suite.integrity_key_bytes);
}

bool is_placeholder(const Secret& keymat, const crypto::Suite& suite) {
  const auto key = secret_key(keymat, suite);
  return std::ranges::all_of(key, [&](std::uint8_t byte) { return byte == key[0]; });
}

}  // namespace espgate::config
