#include "control/config/literals.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

namespace espgate::config {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool all_of(std::string_view text, bool (*is)(char)) {
  return !text.empty() && std::ranges::all_of(text, is);
}

}  // namespace

bool is_hex_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool is_word_character(char c) {
  return is_letter(c) || is_digit(c) || c == '-' || c == '+' || c == '_' || c == '.' || c == '*';
}

std::optional<std::string> integer_literal(std::string_view word) {
  for (int i = 0; i < 2 && word.ends_with('L'); ++i) word.remove_suffix(1);
  auto digits = word;
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  int base = 10;
  if (word == digits && (digits.starts_with("0x") || digits.starts_with("0X"))) {
    base = 16;
    digits.remove_prefix(2);
  }
  if (!all_of(digits, base == 16 ? is_hex_digit : is_digit)) return std::nullopt;
  long long value = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (failure != std::errc{}) value = std::numeric_limits<long long>::max();
  return base == 16 ? fmt::format("{:#x}L", value) : fmt::format("{}{}L", negative ? "-" : "", value);
}

std::optional<long long> quantity(std::string_view text, std::span<const Multiple> multiples) {
  constexpr auto greatest = std::numeric_limits<long long>::max();
  long long number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure == std::errc::invalid_argument || !is_digit(text[0])) return std::nullopt;
  auto name = text.substr(static_cast<std::size_t>(end - text.data()));
  if (name.starts_with(' ')) name.remove_prefix(1);
  const auto multiple = std::ranges::find(multiples, name, &Multiple::name);
  if (multiple == multiples.end() && end != text.data() + text.size()) return std::nullopt;
  const long long of = multiple == multiples.end() ? 1 : multiple->of;
  return failure == std::errc::result_out_of_range || number > greatest / of ? greatest : number * of;
}

std::optional<long long> number_in_text(const Key& key, std::string_view text) {
  if (!key.word.empty() && text == key.word) return key.word_is;
  return key.multiples.empty() ? std::nullopt : quantity(text, key.multiples);
}

bool is_float_literal(std::string_view word) {
  if (word.starts_with('-') || word.starts_with('+')) word.remove_prefix(1);
  if (word.empty() || !(is_digit(word[0]) || word[0] == '.')) return false;
  double value = 0;
  const auto [end, failure] = std::from_chars(word.data(), word.data() + word.size(), value);
  return failure == std::errc{} && end == word.data() + word.size();
}

bool is_name(std::string_view word) {
  return is_letter(word[0]) &&
         std::ranges::none_of(word, [](char c) { return c == '.' || c == '+' || c == '*'; });
}

}  // namespace espgate::config
