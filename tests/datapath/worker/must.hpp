// For test set-up: what must not fail throws, with the error's own words.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include "datapath/base/expected.hpp"

namespace espgate::test {

[[noreturn]] inline void fail(const std::string& what) {
  throw std::runtime_error(what);
}

template <typename T>
T must(Expected<T> expected) {
  if (!expected) fail(expected.error().text());
  return std::move(*expected);
}
inline void must(Expected<void> expected) {
  if (!expected) fail(expected.error().text());
}

}  // namespace espgate::test
