// "Did you mean": the nearest of some names to a mistyped one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace espgate::cli {

// The first candidate that `word` begins, or else the one with the fewest edits (insert, delete, replace,
// swap neighbours); "" when none is within a third of the word's length. Case is ignored.
std::string suggest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace espgate::cli
