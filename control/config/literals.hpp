// The words of libconfig's syntax: what is a number, what is a name.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace espgate::config {

// Whether `c` can be part of a number or a name.
bool is_word_character(char c);

// An integer literal as libconfig is to read it: with the suffix L, and with the greatest 64-bit value in
// place of one that has more bits. nullopt: not an integer.
std::optional<std::string> integer_literal(std::string_view word);
bool is_float_literal(std::string_view word);
// `word` is not empty. Names with '*', which libconfig knows as well, are left to the scan's own use.
bool is_name(std::string_view word);

}  // namespace espgate::config
