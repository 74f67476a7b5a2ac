#include "datapath/crypto/suite.hpp"

#include <algorithm>

namespace espgate::crypto {

// The alias is the name without the mode where that is CBC, without the first hyphen elsewhere.
bool Suite::is_called(std::string_view wanted) const {
  if (wanted == name) return true;
  if (cipher == Cipher::null) return false;
  const auto hyphen = name.find('-');
  const std::size_t left_out = cipher == Cipher::aes_cbc ? std::string_view("-cbc").size() : 1;
  return wanted.size() + left_out == name.size() && wanted.starts_with(name.substr(0, hyphen)) &&
         wanted.ends_with(name.substr(hyphen + left_out));
}

const Suite* find_suite(std::string_view name) {
  const auto row = std::ranges::find_if(suite_table, [&](const Suite& s) { return s.is_called(name); });
  return row == suite_table.end() ? nullptr : &*row;
}

}  // namespace espgate::crypto
