#include "control/config/problem.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/config/words.hpp"

namespace espgate::config {

std::string Problem::text() const {
  auto text = line == 0 ? file + ": " : fmt::format("{}:{}: ", file, line);
  if (!path.empty()) text += path + ": ";
  text += message;
  return remedy.empty() ? text : text + "; " + remedy;
}

unsigned Places::add(std::uint32_t file, unsigned line) {
  rows.push_back({file, line});
  return static_cast<unsigned>(rows.size() - 1);
}

std::string Places::seen_from(unsigned from, unsigned row) const {
  const auto& place = of(row);
  if (place.file == of(from).file) return fmt::format("line {}", place.line);
  return fmt::format("line {} of {}", place.line, files[place.file]);
}

Report::Entry Report::entry(unsigned row, std::string path, std::string message, std::string remedy) const {
  return {row,
          {places_.file_of(row), places_.of(row).line, redacted(std::move(path)),
           redacted(std::move(message)), redacted(std::move(remedy))}};
}

void Report::error(unsigned row, std::string path, std::string message, std::string remedy) {
  errors_.push_back(entry(row, std::move(path), std::move(message), std::move(remedy)));
}

void Report::warning(unsigned row, std::string path, std::string message, std::string remedy) {
  warnings_.push_back(entry(row, std::move(path), std::move(message), std::move(remedy)));
}

std::vector<Problem> Report::take(std::vector<Entry>& entries) {
  std::ranges::stable_sort(entries, {}, &Entry::row);
  std::vector<Problem> problems;
  problems.reserve(entries.size());
  for (auto& entry : entries) problems.push_back(std::move(entry.problem));
  entries.clear();
  return problems;
}

}  // namespace espgate::config
