// Names of X.509 (RFC 5280 4.1.2.4): the DER of a Name, and how people write it. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "datapath/base/expected.hpp"

namespace espgate::ike {

// "C=DE, O=Example, CN=gw" in the certificate's order, "+" between the parts of one RDN, "\" before a special
// character or two hexadecimal digits. Types are OpenSSL's names or object identifiers.
Expected<std::vector<std::uint8_t>> parse_distinguished_name(std::string_view text);
// Of bytes that a peer may have sent; printable ASCII only, in the form that parsing takes.
std::string distinguished_name_text(std::span<const std::uint8_t> der);
bool is_distinguished_name(std::span<const std::uint8_t> der);

// By the canonical form: case, spaces at the ends and repeated ones do not matter, nor does the type of a
// string. What is no Name is the same as nothing.
bool same_distinguished_name(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b);
// The same, but a "*" in the pattern stands for any one value.
bool distinguished_name_matches(std::span<const std::uint8_t> pattern, std::span<const std::uint8_t> name);

}  // namespace espgate::ike
