// Wording shared by all messages: showing a value safely, guessing what was meant, listing choices.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace espgate::config {

// `value` in quotes, bytes that are not printable ASCII escaped, long values cut. A value with 12 or more
// hexadecimal digits in a row may be key material that landed under the wrong key, and is not shown at all.
std::string shown(std::string_view value);

// `text` with every such run of digits hidden: the last guard before a message leaves this folder.
std::string redacted(std::string text);

// The candidate that `word` is most likely a misspelling of, if one is near enough. Upper case counts as
// lower case, an underscore as a hyphen.
std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> candidates);

// "a", "a or b", "a, b or c", each in quotes.
std::string one_of(std::span<const std::string_view> choices);

}  // namespace espgate::config
