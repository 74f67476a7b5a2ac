// The pass over a configuration's text before libconfig parses it. libconfig 1.5 stops at the first
// mistake, reads 4294968796 as 1500 without a word, looks for included files in one place, and keeps
// every string in memory that is never cleared. So the tokens are read here first: files are included,
// mistakes of form reported, key material lifted out, and libconfig is given a canonical text of the same
// meaning that it reads exactly, one token a row:
//   - an integer gets the suffix L, so it is read with 64 bits;
//   - the value of a setting called `key` or `psk` becomes its index in `keys`;
//   - an array becomes a list, so elements of mixed types reach the check of types;
//   - a name set twice is replaced by one that begins with '*' (and reported);
//   - the token after a string stays on the string's row: libconfig dates a string by what follows it.
#pragma once

#include <string>
#include <vector>

#include "control/config/configuration.hpp"
#include "control/config/problem.hpp"

namespace espgate::config {

struct ScannedText {
  std::string canonical;
  std::vector<Secret> keys;              // the text of each such value, in reading order
  std::vector<unsigned> rows_with_keys;  // row of each
  std::vector<std::string> tokens;       // with `exact`: by row, as written (secrets as "...")
  bool well_formed = true;               // false: an error of form was reported; do not parse
};

// Reads `file` and all it includes. Adds a row to `places` for each row of the canonical text. With
// `exact`, every token gets a row of its own: for finding the token that a syntax error is about.
ScannedText scan(const std::string& file, Places& places, Report& report, bool exact = false);

}  // namespace espgate::config
