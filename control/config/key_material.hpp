// Key material from text. No message says anything of the key but its length.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "control/config/configuration.hpp"
#include "datapath/base/expected.hpp"
#include "datapath/crypto/suite.hpp"

namespace espgate::config {

// Pairs of hexadecimal digits, nothing else. None: something else is there.
std::optional<Secret> decode_hexadecimal(std::span<const std::uint8_t> digits);

// Hexadecimal digits, with or without 0x, white space around them: key, salt, integrity key, as long as
// `suite` wants them.
Expected<Secret> decode_keymat(std::span<const std::uint8_t> text, const crypto::Suite& suite);

struct KeyFile {
  Secret text;
  bool group_readable;
};
// Errors: unreadable, too large for a key, or open to others than owner and group.
Expected<KeyFile> read_key_file(const std::string& path);

// The part that two SAs must not share: the cipher's key, or the integrity key where there is none.
std::span<const std::uint8_t> secret_key(const Secret& keymat, const crypto::Suite& suite);

// Whether one byte fills all of that: a placeholder that somebody forgot to replace.
bool is_placeholder(const Secret& keymat, const crypto::Suite& suite);

}  // namespace espgate::config
