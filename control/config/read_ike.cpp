// The `ike` group of a connection: who authenticates how, and when keys are replaced.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "control/config/certificate_dates.hpp"
#include "control/config/credentials.hpp"
#include "control/config/ike_settings.hpp"
#include "control/config/key_material.hpp"
#include "control/config/read.hpp"
#include "control/config/read_file.hpp"
#include "control/config/schema_groups.hpp"
#include "control/config/words.hpp"
#include "control/ike/signature_authenticator.hpp"
#include "datapath/base/counted.hpp"

namespace espgate::config {
namespace {

constexpr std::size_t least_psk_bytes = 16;
constexpr long long least_fragment_bytes = 576;  // the longest message is 128 parts then
constexpr long long least_reauthentication_s = 60;
constexpr std::size_t least_ppk_bytes = 32;  // RFC 8784 6: 256 bits of entropy

void report(const GroupReader& group, std::string_view key, const Error& error) {
  group.error(key, error.what, error.remedy);
}

// The file that a key names, seen from the file that names it.
std::string file_of(const GroupReader& group, std::string_view key) {
  std::string file;
  group.text(key, file);
  return beside(group.report().places().file_of(group.row_of(key)), file);
}

// A text as it stands, or bytes in hexadecimal behind 0x.
Expected<Secret> decode_shared(std::span<const std::uint8_t> text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text = text.first(text.size() - 1);
  if (text.size() < 2 || text[0] != '0' || text[1] != 'x')
    return Secret(std::vector<std::uint8_t>(text.begin(), text.end()));
  auto bytes = decode_hexadecimal(text.subspan(2));
  if (!bytes)
    return Error{"behind 0x there is something else than pairs of hexadecimal digits", "correct it"};
  return *std::move(bytes);
}

std::optional<Secret> checked(const GroupReader& group, std::string_view key, Expected<Secret> secret,
                              std::size_t least) {
  if (!secret) {
    report(group, key, secret.error());
    return {};
  }
  if (secret->size() < least) {
    group.error(key,
                fmt::format("the key has {}, and fewer than {} can be guessed",
                            counted(secret->size(), "byte"), least),
                "make one with: openssl rand -base64 33");
    return {};
  }
  return *std::move(secret);
}

std::optional<Secret> read_shared_file(const GroupReader& group, std::string_view key, std::size_t least) {
  const auto file = file_of(group, key);
  const auto content = read_key_file(file);
  if (!content) {
    report(group, key, content.error());
    return {};
  }
  if (content->group_readable)
    group.warning(key, fmt::format("the group of {} can read the key", file),
                  fmt::format("chmod 600 {}", file));
  return checked(group, key, decode_shared(content->text.bytes()), least);
}

std::optional<Secret> read_psk(const GroupReader& group) {
  if (group.given("psk") && group.given("psk-file")) {
    group.error("psk-file", "both psk and psk-file are given", "keep one of the two");
    return {};
  }
  if (group.given("psk-file")) return read_shared_file(group, "psk-file", least_psk_bytes);
  const auto* text = group.secret("psk");
  if (text == nullptr) return {};
  return checked(group, "psk", decode_shared(text->bytes()), least_psk_bytes);
}

void read_ppk(const GroupReader& group, IkeSettings& settings) {
  group.choice("ppk", settings.ppk_use);
  if (settings.ppk_use == ike::PpkUse::off) {
    for (const auto* key : {"ppk-id", "ppk-file"})
      if (group.given(key))
        group.warning(key, "has no effect while ppk is \"off\"", "set ppk = \"required\", or remove it");
    return;
  }
  std::string id;
  for (const auto* key : {"ppk-id", "ppk-file"})
    if (!group.given(key)) group.missing(key);
  if (!group.text("ppk-id", id) || !group.given("ppk-file")) return;
  auto key = read_shared_file(group, "ppk-file", least_ppk_bytes);
  if (key) settings.ppks.push_back({{id.begin(), id.end()}, *std::move(key)});
}

void warn_of_dates(const GroupReader& group, std::string_view key,
                   const std::vector<ike::X509Certificate>& certificates) {
  if (const auto problem = not_valid(certificates, std::time(nullptr)))
    group.warning(key, problem->what, problem->remedy);
}

std::shared_ptr<const ike::OwnCertificate> read_own_certificate(const GroupReader& group) {
  for (const auto& [key, other] :
       {std::pair("certificate", "private-key"), std::pair("private-key", "certificate")})
    if (!group.given(key) && group.given(other)) group.missing(key);
  if (!group.given("certificate") || !group.given("private-key")) return nullptr;
  auto chain = load_certificates(file_of(group, "certificate"));
  if (!chain) report(group, "certificate", chain.error());
  const auto file = file_of(group, "private-key");
  auto key = load_private_key(file);
  if (!key) report(group, "private-key", key.error());
  if (!chain || !key) return nullptr;
  if (key->group_readable)
    group.warning("private-key", fmt::format("the group of {} can read the key", file),
                  fmt::format("chmod 600 {}", file));
  warn_of_dates(group, "certificate", *chain);
  auto ours = ike::OwnCertificate::make(*std::move(chain), std::move(key->key));
  if (!ours) {
    report(group, "certificate", ours.error());
    return nullptr;
  }
  return std::make_shared<const ike::OwnCertificate>(*std::move(ours));
}

// `made_from` gets all that it is made from.
std::shared_ptr<const ike::TrustStore> read_trust(const GroupReader& group, DigestInput& made_from) {
  auto revocation = ike::Revocation::if_present;
  group.choice("revocation", revocation);
  if (!group.given("ca")) {
    if (group.given("crl"))
      group.error("crl", "there is no ca that these CRLs are of", "name the ca, or remove crl");
    return nullptr;
  }
  auto authorities = load_certificates(file_of(group, "ca"));
  if (!authorities) {
    report(group, "ca", authorities.error());
    return nullptr;
  }
  warn_of_dates(group, "ca", *authorities);
  std::vector<ike::RevocationList> lists;
  if (group.given("crl")) {
    auto loaded = load_revocation_lists(file_of(group, "crl"));
    if (!loaded) {
      report(group, "crl", loaded.error());
      return nullptr;
    }
    lists = *std::move(loaded);
  } else if (revocation == ike::Revocation::strict) {
    group.error("revocation", "\"strict\" refuses every certificate without a CRL",
                "name the CRLs: crl = \"...\";");
  }
  made_from.add(revocation);
  made_from.add(authorities->size());
  for (const auto& authority : *authorities) made_from.add(authority.der());
  made_from.add(lists.size());
  for (const auto& list : lists) made_from.add(list.der());
  auto trust = ike::TrustStore::make(*std::move(authorities), std::move(lists), revocation);
  if (!trust) {
    report(group, "ca", trust.error());
    return nullptr;
  }
  return std::make_shared<const ike::TrustStore>(*std::move(trust));
}

void read_identities(const GroupReader& group, const Connection& connection, const ike::OwnCertificate* ours,
                     IkeSettings& settings) {
  settings.local_id = ike::address_identity(connection.local);
  if (ours != nullptr && !ours->certificate().identities().empty())
    settings.local_id = ours->certificate().identities().front();
  std::string text;
  if (group.text("local-id", text)) {
    auto identity = ike::parse_identity(text);
    if (!identity)
      report(group, "local-id", identity.error());
    else
      settings.local_id = *std::move(identity);
    const auto in_certificate =
        ours == nullptr ? Expected<void>() : ike::check_identity(ours->certificate(), settings.local_id);
    if (!in_certificate) report(group, "local-id", in_certificate.error());
  }
  settings.remote_id = connection.any_peer ? ike::IdentityPattern()
                                           : ike::IdentityPattern(ike::address_identity(connection.remote));
  if (connection.any_peer && !group.given("remote-id"))
    group.report().error(group.row(), group.path_of("remote-id"), "missing",
                         "say who the peers are that come from any address, as \"*.example.org\" does, or "
                         "\"%any\"");
  if (group.text("remote-id", text)) {
    auto pattern = ike::IdentityPattern::parse(text);
    if (!pattern)
      report(group, "remote-id", pattern.error());
    else
      settings.remote_id = *std::move(pattern);
  }
}

// The private key is the certificate's, so that tells it too.
void add_ours(const std::optional<Secret>& psk, const ike::OwnCertificate* certificate,
              DigestInput& made_from) {
  made_from.add(psk.has_value());
  if (psk) made_from.add(psk->bytes());
  made_from.add(certificate != nullptr);
  if (certificate == nullptr) return;
  for (const auto& payload : certificate->payloads()) made_from.add(payload.data);
}

// A side with a certificate, ours or a CA for the peer's, authenticates by it; the other by the key.
void read_authentication(const GroupReader& group, const Connection& connection, IkeSettings& settings) {
  DigestInput made_from;
  const auto psk = read_psk(group);
  const auto ours = read_own_certificate(group);
  const auto trust = read_trust(group, made_from);
  add_ours(psk, ours.get(), made_from);
  read_identities(group, connection, ours.get(), settings);
  const bool key_given = group.given("psk") || group.given("psk-file");
  const bool we_sign = group.given("certificate") || group.given("private-key");
  const bool peer_signs = group.given("ca");
  if (we_sign && peer_signs && key_given)
    group.error(group.given("psk") ? "psk" : "psk-file",
                "both sides authenticate by certificates, and nobody by this key",
                "remove the key, or the certificate or ca of the side that uses the key");
  if ((!we_sign || !peer_signs) && !key_given)
    group.report().error(group.row(), group.path_of("psk"), "missing",
                         we_sign      ? "add ca = \"...\"; to verify the peer's certificate"
                         : peer_signs ? "add certificate and private-key, or psk-file, for our side"
                                      : "add psk-file = \"...\"; or certificate, private-key and ca");
  if ((key_given && !psk) || (we_sign && !ours) || (peer_signs && !trust)) return;  // reported

  settings.credentials.made_from = made_from.digest();
  settings.credentials.ours =
      ours ? fmt::format("certificate {}", ours->certificate().subject()) : "a shared key";
  settings.credentials.theirs = trust ? "a certificate below our CAs" : "a shared key";
  auto& authenticator = settings.credentials.authenticator;
  std::shared_ptr<const ike::Authenticator> shared, signing;
  if (psk) shared = std::make_shared<const ike::SharedKeyAuthenticator>(*psk, settings.remote_id);
  if (ours || trust)
    signing = std::make_shared<const ike::SignatureAuthenticator>(ours, trust, settings.remote_id);
  if (we_sign == peer_signs)
    authenticator = we_sign ? signing : shared;
  else if (shared)
    authenticator = std::make_shared<const ike::TwoSidedAuthenticator>(we_sign ? signing : shared,
                                                                       peer_signs ? signing : shared);
}

void read_replacement(const GroupReader& group, std::string_view rekey, std::string_view expires,
                      Replacement& out) {
  long long rekey_s = 0, expires_s = 0;
  if (!group.integer(rekey, rekey_s) || !group.integer(expires, expires_s)) return;
  if (rekey_s >= expires_s)
    group.error(rekey, fmt::format("{} is not less than {} = {}", rekey_s, expires, expires_s),
                "leave some time between the two, to replace the keys in");
  out = {std::chrono::seconds(rekey_s), std::chrono::seconds(expires_s)};
}

// A number that is 0, which switches something off, or `least` at least.
long long zero_or(const GroupReader& group, std::string_view key, long long least, std::string_view remedy) {
  long long value = 0;
  if (group.integer(key, value) && value != 0 && value < least)
    group.error(key, fmt::format("{} is neither 0 nor {} or more", value, least), std::string(remedy));
  return value;
}

std::vector<net::Address> read_addresses(const GroupReader& group, std::string_view key) {
  std::vector<net::Address> addresses;
  for (const auto& element : group.texts(key)) {
    const auto address = net::parse_address(element.text);
    if (address)
      addresses.push_back(*address);
    else
      group.report().error(element.row, element.path.text(),
                           fmt::format("{} is no address", shown(element.text)),
                           "write it as 192.0.2.1 or 2001:db8::1");
  }
  return addresses;
}

void read_assigned(const GroupReader& group, const Connection& connection, IkeSettings& settings) {
  for (const auto& element : group.texts("assign"))
    if (const auto prefix = prefix_of(group, element)) settings.peer_addresses.push_back(*prefix);
  settings.peer_dns = read_addresses(group, "assign-dns");
  const auto count = [&](net::Family family) {
    return std::ranges::count(settings.peer_addresses, family,
                              [](const net::Prefix& prefix) { return prefix.address.family; });
  };
  if (count(net::Family::v4) > 1 || count(net::Family::v6) > 1)
    group.error("assign", "there are two of one family", "keep one of each");
  for (const auto& given : settings.peer_addresses) {
    const bool is_one = given.length == given.address.bits();
    const auto text = is_one ? net::to_string(given.address) : net::to_string(given);
    if (!is_one && !connection.any_peer)
      group.error("assign", fmt::format("{} is a network, and there is one peer", text),
                  "write an address, or set remote = \"any\"");
    if (std::ranges::none_of(connection.remote_networks, [&](const net::Prefix& network) {
          return network.length <= given.length && network.contains(given.address);
        }))
      group.error("assign", fmt::format("{} is in no network of remote-networks", text),
                  fmt::format("add \"{}\" there", net::to_string(given)));
  }
  if (settings.peer_addresses.empty() && !settings.peer_dns.empty())
    group.error("assign-dns", "who gets no address is not told of DNS servers", "add assign, or remove it");
}

// Others of ours than local.
void read_other_addresses(const GroupReader& group, const Connection& connection, IkeSettings& settings) {
  constexpr std::string_view key = "other-addresses";
  settings.other_addresses = read_addresses(group, key);
  if (settings.other_addresses.empty()) return;
  if (connection.mode == Mode::transport)
    group.error(key, "in transport mode it is the traffic of local that is protected",
                "remove them, or set mode = \"tunnel\"");
  if (settings.request_addresses)
    group.error(key, "what the peer assigns is put on the port of local, and stays there",
                "remove them, or request-addresses");
  std::vector<net::Address> known{connection.local, connection.remote};
  for (const auto& address : settings.other_addresses) {
    const auto text = net::to_string(address);
    if (address.family != connection.local.family)
      group.error(key, fmt::format("{} is not of the family of local", text), "name addresses of one family");
    else if (std::ranges::find(known, address) != known.end())
      group.error(key, fmt::format("{} is there already, as local, as remote, or here", text),
                  "name each address once");
    known.push_back(address);
  }
}

// Who may be anywhere has to begin.
void read_start(const GroupReader& group, const Connection& connection, IkeSettings& settings) {
  group.choice("start", settings.start);
  if (!connection.any_peer) return;
  if (group.given("start") && settings.start != Start::passive)
    group.error("start", "with remote = \"any\" only the peers can begin",
                "remove it, or name the peer's address");
  if (settings.request_addresses)
    group.error("request-addresses", "with remote = \"any\" only the peers can begin",
                "remove it, or name the peer's address");
  settings.start = Start::passive;
}

void read_child(const GroupReader& group, IkeSettings& settings) {
  group.text("child-of", settings.child_of);
  for (const auto& key : ike_group.keys)
    if (key.name != "child-of" && group.given(key.name))
      group.error(key.name, "has no place besides child-of: that connection says it",
                  "remove it, or child-of");
}

}  // namespace

void read_ike(const GroupReader& group, std::optional<bool> esn, Connection& connection) {
  IkeSettings settings;
  if (group.given("child-of")) {
    read_child(group, settings);
    connection.ike = std::make_shared<const IkeSettings>(std::move(settings));
    return;
  }
  read_ike_algorithms(group, settings);
  settings.child_algorithms.extended_sequence = esn.value_or(true);
  settings.child_algorithms.short_sequence = !esn.value_or(false);
  read_authentication(group, connection, settings);
  read_ppk(group, settings);
  read_replacement(group, "rekey-after", "expires-after", settings.ike_sa);
  read_replacement(group, "child-rekey-after", "child-expires-after", settings.child_sa);
  settings.reauthenticate_after = std::chrono::seconds(zero_or(
      group, "reauthenticate-after", least_reauthentication_s, "leave some time to do it in, or remove it"));
  long long liveness_s = 0;
  if (group.integer("liveness", liveness_s)) settings.liveness_after = std::chrono::seconds(liveness_s);
  group.integer("tries", settings.tries);
  group.boolean("childless", settings.childless);
  group.boolean("request-addresses", settings.request_addresses);
  read_other_addresses(group, connection, settings);
  read_start(group, connection, settings);
  read_assigned(group, connection, settings);
  settings.fragment_bytes = static_cast<std::uint16_t>(zero_or(
      group, "fragment-bytes", least_fragment_bytes, "leave it out: 1200 bytes pass through every network"));
  connection.ike = std::make_shared<const IkeSettings>(std::move(settings));
}

}  // namespace espgate::config
