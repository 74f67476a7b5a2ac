#include "control/cli/text_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace espgate::cli {
namespace {

constexpr std::size_t gap = 2;
constexpr std::size_t longest_ruled = 80;  // of a text in the last column, which may go on over lines

// Characters, not bytes: continuation bytes of UTF-8 take no column.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

std::string alarm(std::string_view text, bool color) {
  return color ? fmt::format("\033[31m{}\033[0m", text) : std::string(text);
}

std::vector<std::size_t> TextTable::widths() const {
  std::vector<std::size_t> widest;
  for (const auto& column : columns_) widest.push_back(width(column.title));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widest[i] = std::max(widest[i], width(row[i].text));
  }
  return widest;
}

std::string TextTable::line(const std::vector<Cell>& row, const std::vector<std::size_t>& widest,
                            bool color) const {
  std::string text;
  std::size_t pending = 0;  // blanks owed, written only when something follows
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i > 0) pending += gap;
    const std::size_t fill = widest[i] - width(row[i].text);
    if (columns_[i].align == Align::right) pending += fill;
    if (!row[i].text.empty()) {
      text += std::string(pending, ' ');
      text += row[i].mark == Mark::alarm ? alarm(row[i].text, color) : row[i].text;
      pending = 0;
    }
    if (columns_[i].align == Align::left) pending += fill;
  }
  return text + "\n";
}

std::string TextTable::text(bool color) const {
  const auto widest = widths();
  std::vector<Cell> titles;
  for (const auto& column : columns_) titles.emplace_back(std::string(column.title));
  auto ruled = widest;
  if (columns_.back().align == Align::left) ruled.back() = std::min(ruled.back(), longest_ruled);
  const std::size_t total = std::accumulate(ruled.begin(), ruled.end(), gap * (columns_.size() - 1));
  const std::string dashes = std::string(total, '-') + "\n";
  std::string text = dashes + line(titles, widest, false) + dashes;
  for (const auto& row : rows_) text += line(row, widest, color);
  return text;
}

}  // namespace espgate::cli
