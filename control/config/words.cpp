#include "control/config/words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <vector>

#include "control/config/literals.hpp"

namespace espgate::config {
namespace {

constexpr std::size_t shown_characters = 80;
constexpr std::size_t secret_digits = 12;

// The first run of hexadecimal digits that is as long as a secret's, from `from` on; empty: none.
std::string_view secret_run(std::string_view text, std::size_t from) {
  for (std::size_t begin = from; begin < text.size();) {
    std::size_t end = begin;
    while (end < text.size() && is_hex_digit(text[end])) ++end;
    if (end - begin >= secret_digits) return text.substr(begin, end - begin);
    begin = end + 1;
  }
  return {};
}

char folded(char c) {
  return c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

// Levenshtein distance in which two swapped neighbours count as one edit.
std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(above);
    above.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = folded(a[i - 1]) == folded(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) && folded(a[i - 2]) == folded(b[j - 1]))
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::string shown(std::string_view value) {
  if (!secret_run(value, 0).empty()) return "a value that is not shown because it may be key material";
  std::string text = "\"";
  for (const char c : value.substr(0, shown_characters)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f)
      text += fmt::format("\\x{:02x}", byte);
    else
      text += c;
  }
  return text + (value.size() > shown_characters ? "...\"" : "\"");
}

std::string redacted(std::string text) {
  constexpr std::string_view mask = "(hidden)";
  std::size_t from = 0;
  for (auto run = secret_run(text, from); !run.empty(); run = secret_run(text, from)) {
    const auto at = static_cast<std::size_t>(run.data() - text.data());
    text.replace(at, run.size(), mask);
    from = at + mask.size();
  }
  return text;
}

std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> candidates) {
  constexpr std::size_t longest = 40;  // nothing that long is a misspelt key, and distance is quadratic
  if (word.size() > longest) return std::nullopt;
  std::optional<std::string_view> best;
  std::size_t fewest = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const auto candidate : candidates) {
    if (const auto distance = edits(word, candidate); distance < fewest) {
      fewest = distance;
      best = candidate;
    }
  }
  return best;
}

std::string one_of(std::span<const std::string_view> choices) {
  std::string text;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) text += i + 1 == choices.size() ? " or " : ", ";
    text += fmt::format("\"{}\"", choices[i]);
  }
  return text;
}

}  // namespace espgate::config
