// What is wrong with a configuration, in words for the operator, and the report that gathers it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/config/configuration.hpp"

namespace espgate::config {

struct Problem {
  std::string file;
  unsigned line = 0;    // 0: the file as a whole
  std::string path;     // "connections[0].inbound.spi", elements counted from 0; empty: not one key
  std::string message;  // names the value, never a secret
  std::string remedy;   // what to do

  // "file:line: path: message; remedy"
  std::string text() const;
};

// Where each row of the text that libconfig sees came from. Rows are numbered from 1 in reading order
// over all included files; row 0 stands for the configuration as a whole.
struct Places {
  std::vector<std::string> files;
  std::vector<Place> rows{{}};

  unsigned add(std::uint32_t file, unsigned line);
  const Place& of(unsigned row) const { return rows[row < rows.size() ? row : 0]; }
  const std::string& file_of(unsigned row) const { return files[of(row).file]; }
  // How a message at `from` names `row`: "line 12", or "line 12 of other.conf".
  std::string seen_from(unsigned from, unsigned row) const;
};

// Gathers problems in any order, hands them out in reading order.
class Report {
 public:
  explicit Report(const Places& places) : places_(places) {}

  void error(unsigned row, std::string path, std::string message, std::string remedy);
  void warning(unsigned row, std::string path, std::string message, std::string remedy);

  const Places& places() const { return places_; }
  bool has_errors() const { return !errors_.empty(); }
  std::vector<Problem> take_errors() { return take(errors_); }
  std::vector<Problem> take_warnings() { return take(warnings_); }

 private:
  struct Entry {
    unsigned row;
    Problem problem;
  };
  Entry entry(unsigned row, std::string path, std::string message, std::string remedy) const;
  static std::vector<Problem> take(std::vector<Entry>& entries);

  const Places& places_;
  std::vector<Entry> errors_;
  std::vector<Entry> warnings_;
};

}  // namespace espgate::config
