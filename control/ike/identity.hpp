// Who a peer says it is (RFC 7296 3.5): identities as the ID payload has them, as people write them, and as
// the configuration says which are meant. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "control/ike/message.hpp"
#include "datapath/base/expected.hpp"
#include "datapath/net/address.hpp"

namespace espgate::ike {

struct Identity {
  IdType type = IdType::key_id;
  std::vector<std::uint8_t> data;  // as the payload has it

  static Identity of(const Identification& payload) {
    return {payload.type, {payload.data.begin(), payload.data.end()}};
  }
  // It points into this.
  Identification payload() const { return {type, data}; }
  // The body of the ID payload, which AUTH covers.
  std::vector<std::uint8_t> body() const;
  // Byte for byte; same_identity says whether they name the same.
  bool operator==(const Identity&) const = default;
};

// "192.0.2.1", "2001:db8::1", "gw.example.org", "gw@example.org", "C=DE, CN=gw", "key-id:text" or
// "key-id:0x0102". A type in front ("fqdn:", "email:", "dn:", "key-id:") says what is not meant otherwise.
Expected<Identity> parse_identity(std::string_view text);
Identity address_identity(const net::Address& address);
// Errors: a type that we do not know, empty, too long, or not of the form that its type has. The text has no
// byte of it that could not be printed.
Expected<Identity> identity_of(const Identification& payload);
// As parsing takes it, and printable whatever the peer sent.
std::string to_string(const Identity& identity);

// What tells apart everything of that name by whose it is: one text for each.
std::string key_with(std::string_view name, const Identity& identity);

// Whether both name the same: without regard to case where DNS has none, DNs by X.509's rules.
bool same_identity(const Identity& a, const Identity& b);

// Which identities of a peer are meant.
class IdentityPattern {
 public:
  IdentityPattern() = default;  // any
  IdentityPattern(Identity identity);
  // What parse_identity takes, or "%any", "*.example.org" (one label more), "*@example.org", "192.0.2.0/24",
  // or a DN with "*" for values.
  static Expected<IdentityPattern> parse(std::string_view text);

  bool matches(const Identity& identity) const;
  // The one that it means, to ask for in IDr; null: there are several.
  const Identity* only() const { return kind_ == Kind::exact ? &identity_ : nullptr; }
  const std::string& text() const { return text_; }
  bool operator==(const IdentityPattern&) const = default;

 private:
  enum class Kind : std::uint8_t { any, exact, suffix, prefix, name_with_gaps };

  std::string text_ = "%any";
  Kind kind_ = Kind::any;
  Identity identity_;   // of a suffix: its type and what must be behind the star
  net::Prefix prefix_;  // of addresses
};

}  // namespace espgate::ike
