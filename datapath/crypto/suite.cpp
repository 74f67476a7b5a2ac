#include "datapath/crypto/suite.hpp"

#include <algorithm>

namespace espgate::crypto {
const Suite* find_suite(std::string_view name) {
  const auto row = std::ranges::find(suite_table, name, &Suite::name);
  return row == suite_table.end() ? nullptr : &*row;
}

}  // namespace espgate::crypto
