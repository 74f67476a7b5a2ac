// The words of libconfig's syntax: what is a number, what is a name.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "control/config/schema.hpp"

namespace espgate::config {

bool is_hex_digit(char c);
// Whether `c` can be part of a number or a name.
bool is_word_character(char c);

// An integer literal as libconfig is to read it: with the suffix L, and with the greatest 64-bit value in
// place of one that has more bits. nullopt: not an integer.
std::optional<std::string> integer_literal(std::string_view word);
// A whole number, with or without one of the multiples behind it: "90", "90 GB", "90GB". What exceeds 64 bits
// is the greatest value. nullopt: something else.
std::optional<long long> quantity(std::string_view text, std::span<const Multiple> multiples);
// What a text stands for where the key's value is a number: its word, or a quantity if it has multiples.
std::optional<long long> number_in_text(const Key& key, std::string_view text);
bool is_float_literal(std::string_view word);
// `word` is not empty. Names with '*', which libconfig knows as well, are left to the scan's own use.
bool is_name(std::string_view word);

}  // namespace espgate::config
