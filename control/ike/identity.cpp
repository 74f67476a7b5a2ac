#include "control/ike/identity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "control/ike/distinguished_name.hpp"

namespace espgate::ike {
namespace {

constexpr std::size_t most_identity_bytes = 2'048;
constexpr std::string_view key_id_prefix = "key-id:";

std::vector<std::uint8_t> bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_graphic(char c) {
  return c > ' ' && c < '\x7f';
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_without_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

// The part before the last "@" is the mailbox's, and its case counts (RFC 5280 7.5).
bool same_mailbox(std::string_view a, std::string_view b) {
  const auto at = a.rfind('@');
  return at != std::string_view::npos && at == b.rfind('@') && a.substr(0, at) == b.substr(0, at) &&
         same_without_case(a.substr(at), b.substr(at));
}

bool is_host_name(std::string_view text) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !text.empty() && std::ranges::all_of(text, is_allowed) && text.front() != '.' &&
         text.back() != '.' && text.find("..") == std::string_view::npos;
}

bool is_mailbox(std::string_view text) {
  const auto at = text.rfind('@');
  return at != std::string_view::npos && at != 0 && std::ranges::all_of(text, is_graphic) &&
         is_host_name(text.substr(at + 1));
}

int digit_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  const char small = lower(digit);
  return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

Expected<Identity> parse_key_id(std::string_view text) {
  if (!text.starts_with("0x")) return Identity{IdType::key_id, bytes_of(text)};
  const auto digits = text.substr(2);
  Identity identity{IdType::key_id, std::vector<std::uint8_t>(digits.size() / 2)};
  for (std::size_t i = 0; i < digits.size() / 2; ++i) {
    const int high = digit_value(digits[2 * i]), low = digit_value(digits[2 * i + 1]);
    if (high < 0 || low < 0)
      return Error{"the key id has what is no hexadecimal digit", "write 0x and digits"};
    identity.data[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  if (digits.size() % 2 != 0) return Error{"the key id has half a byte", "write two digits for each byte"};
  return identity;
}

Expected<Identity> parse_name(std::string_view text) {
  auto der = parse_distinguished_name(text);
  if (!der) return std::move(der).error();
  return Identity{IdType::distinguished_name, *std::move(der)};
}

Expected<Identity> parse_host_name(std::string_view text) {
  if (!is_host_name(text))
    return Error{fmt::format("\"{}\" is not a host name", text), "use letters, digits, hyphens and dots"};
  return Identity{IdType::fqdn, bytes_of(text)};
}

Expected<Identity> parse_mailbox(std::string_view text) {
  if (!is_mailbox(text))
    return Error{fmt::format("\"{}\" is not an e-mail address", text), "write user@host"};
  return Identity{IdType::rfc822, bytes_of(text)};
}

// The text behind `prefix`.
std::optional<std::string_view> behind(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return {};
  return text.substr(prefix.size());
}

Expected<Identity> parse_any_form(std::string_view text) {
  if (const auto rest = behind(text, "fqdn:")) return parse_host_name(*rest);
  if (const auto rest = behind(text, "email:")) return parse_mailbox(*rest);
  if (const auto rest = behind(text, "dn:")) return parse_name(*rest);
  if (const auto rest = behind(text, key_id_prefix)) return parse_key_id(*rest);
  if (const auto address = net::parse_address(text)) return address_identity(*address);
  if (text.find('=') != std::string_view::npos) return parse_name(text);
  if (text.find('@') != std::string_view::npos) return parse_mailbox(text);
  return parse_host_name(text);
}

net::Address address_of(const Identity& identity) {
  return net::Address::from_bytes(identity.type == IdType::ipv4 ? net::Family::v4 : net::Family::v6,
                                  identity.data.data());
}

bool is_address(IdType type) {
  return type == IdType::ipv4 || type == IdType::ipv6;
}

Expected<Identity> checked(Identity identity) {
  if (identity.data.empty()) return Error{"the identity is empty", "write one"};
  if (identity.data.size() > most_identity_bytes)
    return Error{
        fmt::format("the identity has {} bytes, more than {}", identity.data.size(), most_identity_bytes),
        "use a shorter one"};
  return identity;
}

}  // namespace

std::vector<std::uint8_t> Identity::body() const {
  constexpr std::size_t fields = 4;  // the type and three that are reserved
  std::vector<std::uint8_t> out(fields + data.size());
  out[0] = static_cast<std::uint8_t>(type);
  std::ranges::copy(data, out.begin() + fields);
  return out;
}

Expected<Identity> parse_identity(std::string_view text) {
  auto identity = parse_any_form(text);
  if (!identity) return identity;
  return checked(*std::move(identity));
}

Identity address_identity(const net::Address& address) {
  const bool is_v4 = address.family == net::Family::v4;
  return {is_v4 ? IdType::ipv4 : IdType::ipv6,
          {address.bytes.begin(), address.bytes.begin() + (is_v4 ? 4 : 16)}};
}

Expected<Identity> identity_of(const Identification& payload) {
  auto identity = checked({payload.type, {payload.data.begin(), payload.data.end()}});
  if (!identity) return identity;
  const auto size = payload.data.size();
  const auto text = text_of(payload.data);
  bool good = false;
  switch (payload.type) {
    case IdType::ipv4:
      good = size == 4;
      break;
    case IdType::ipv6:
      good = size == 16;
      break;
    case IdType::fqdn:
      good = std::ranges::all_of(text, is_graphic);
      break;
    case IdType::rfc822:
      good = std::ranges::all_of(text, is_graphic) && text.find('@') != std::string_view::npos;
      break;
    case IdType::distinguished_name:
      good = is_distinguished_name(payload.data);
      break;
    case IdType::key_id:
      good = true;
      break;
    case IdType::general_name:
      break;
  }
  if (!good)
    return Error{
        fmt::format("an identity of type {} that is not what its type says, or of a type unknown here",
                    static_cast<unsigned>(payload.type)),
        "give the peer another identity"};
  return identity;
}

std::string key_with(std::string_view name, const Identity& identity) {
  return fmt::format("{}/{}/{}", name, static_cast<int>(identity.type), text_of(identity.data));
}

std::string to_string(const Identity& identity) {
  const auto text = text_of(identity.data);
  const bool plain = std::ranges::all_of(text, is_graphic);
  switch (identity.type) {
    case IdType::ipv4:
    case IdType::ipv6:
      return net::to_string(address_of(identity));
    case IdType::distinguished_name:
      return distinguished_name_text(identity.data);
    case IdType::fqdn:
    case IdType::rfc822: {
      if (!plain) break;
      const auto taken_for = parse_any_form(text);
      const bool is_told = taken_for && *taken_for == identity;
      return fmt::format("{}{}", is_told ? "" : identity.type == IdType::fqdn ? "fqdn:" : "email:", text);
    }
    case IdType::key_id:
      if (plain && !text.starts_with("0x")) return fmt::format("{}{}", key_id_prefix, text);
      break;
    case IdType::general_name:
      break;
  }
  return fmt::format("{}0x{:02x}",
                     identity.type == IdType::key_id
                         ? std::string(key_id_prefix)
                         : fmt::format("type {}: ", static_cast<unsigned>(identity.type)),
                     fmt::join(identity.data, ""));
}

bool same_identity(const Identity& a, const Identity& b) {
  if (a.type != b.type) return false;
  if (a.type == IdType::fqdn) return same_without_case(text_of(a.data), text_of(b.data));
  if (a.type == IdType::rfc822) return same_mailbox(text_of(a.data), text_of(b.data));
  if (a.type == IdType::distinguished_name) return same_distinguished_name(a.data, b.data);
  return a.data == b.data;
}

IdentityPattern::IdentityPattern(Identity identity)
    : text_(to_string(identity)), kind_(Kind::exact), identity_(std::move(identity)) {}

Expected<IdentityPattern> IdentityPattern::parse(std::string_view text) {
  IdentityPattern pattern;
  pattern.text_ = text;
  if (text == "%any") return pattern;
  if (const auto suffix = behind(text, "*."); suffix && is_host_name(*suffix)) {
    pattern.kind_ = Kind::suffix;
    pattern.identity_ = {IdType::fqdn, bytes_of(text.substr(1))};
    return pattern;
  }
  if (const auto suffix = behind(text, "*@"); suffix && is_host_name(*suffix)) {
    pattern.kind_ = Kind::suffix;
    pattern.identity_ = {IdType::rfc822, bytes_of(text.substr(1))};
    return pattern;
  }
  if (const auto prefix = net::parse_prefix(text); prefix && text.find('/') != std::string_view::npos) {
    pattern.kind_ = Kind::prefix;
    pattern.prefix_ = *prefix;
    return pattern;
  }
  auto identity = parse_identity(text);
  if (!identity) return std::move(identity).error();
  const bool has_star = text.find('*') != std::string_view::npos;
  pattern.kind_ =
      identity->type == IdType::distinguished_name && has_star ? Kind::name_with_gaps : Kind::exact;
  pattern.identity_ = *std::move(identity);
  return pattern;
}

bool IdentityPattern::matches(const Identity& identity) const {
  switch (kind_) {
    case Kind::any:
      return true;
    case Kind::exact:
      return same_identity(identity_, identity);
    case Kind::prefix:
      return is_address(identity.type) && prefix_.contains(address_of(identity));
    case Kind::name_with_gaps:
      return identity.type == IdType::distinguished_name &&
             distinguished_name_matches(identity_.data, identity.data);
    case Kind::suffix:
      break;
  }
  const auto suffix = text_of(identity_.data), whole = text_of(identity.data);
  if (identity.type != identity_.type || whole.size() <= suffix.size()) return false;
  const auto star = whole.substr(0, whole.size() - suffix.size());
  const char separator = identity_.type == IdType::fqdn ? '.' : '@';
  return star.find(separator) == std::string_view::npos &&
         same_without_case(whole.substr(star.size()), suffix);
}

}  // namespace espgate::ike
