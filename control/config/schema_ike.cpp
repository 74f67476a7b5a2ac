#include <array>

#include "control/config/schema_groups.hpp"

namespace espgate::config {
namespace {

constexpr std::array<Multiple, 4> of_seconds{{{"s", 1}, {"min", 60}, {"h", 3'600}, {"d", 86'400}}};
// Choices that become enumerators stand in their order.
constexpr std::array<std::string_view, 3> starts{"always", "on-demand", "passive"};
constexpr std::array<std::string_view, 3> revocations{"strict", "if-present", "off"};
constexpr std::array<std::string_view, 3> ppk_uses{"off", "optional", "required"};

constexpr Key text_key(std::string_view name, std::string_view meaning) {
  return {.name = name, .kind = Kind::text, .least = 1, .most = any_length, .meaning = meaning};
}

constexpr Key list_key(std::string_view name, std::string_view meaning, std::size_t fewest = 1) {
  return {.name = name,
          .kind = Kind::texts,
          .most = 63,
          .fewest_elements = fewest,
          .most_elements = 16,
          .meaning = meaning};
}

constexpr Key seconds_key(std::string_view name, long long least, std::string_view preset,
                          std::string_view meaning) {
  return {.name = name,
          .kind = Kind::integer,
          .unit = "seconds",
          .least = least,
          .most = 2'592'000,
          .multiples = of_seconds,
          .preset = preset,
          .meaning = meaning};
}

constexpr std::array ike_keys{
    Key{.name = "child-of",
        .kind = Kind::text,
        .least = 1,
        .most = 63,
        .meaning =
            "Connection whose IKE SA this one shares, between the same two addresses: one more child SA, "
            "with networks of its own. That connection's ike says all else. 64 share one at most, that "
            "connection included."},
    text_key(
        "local-id",
        "Who we are: an address, a host name, user@host, a distinguished name such as \"C=DE, CN=gw\", or "
        "key-id:text. Default: the subject of our certificate, or else local."),
    text_key("remote-id",
             "Who the peer must be: one of the same, or \"*.example.org\", \"*@example.org\", a network, a "
             "distinguished name with \"*\" for values, or \"%any\". The peer is asked for one that is named "
             "in full. Default: remote, which is no address if it is \"any\": then this is required."),
    Key{.name = "psk",
        .kind = Kind::secret,
        .most = any_length,
        .meaning = "Pre-shared key: a text of 16 characters at least, or 0x and hexadecimal digits. A side "
                   "without a certificate (ours) or ca (the peer's) authenticates by it."},
    text_key("psk-file",
             "File that holds the pre-shared key, which others must not be able to read. A line feed "
             "at its end does not belong to the key."),
    text_key("certificate",
             "File with our certificate in PEM or DER, and in PEM behind it those between it and its CA."),
    text_key(
        "private-key",
        "File with the certificate's private key in PEM, not encrypted: RSA from 2048 bits, ECDSA on P-256, "
        "P-384 or P-521, or Ed25519. Others must not be able to read it."),
    text_key("ca",
             "File or folder with the certificates of the CAs that the peer's certificate may come from."),
    text_key("crl",
             "File or folder with CRLs of these CAs and those below them. A reload reads them anew, as the "
             "other files; connections of which one has changed are negotiated anew."),
    Key{.name = "revocation",
        .kind = Kind::choice,
        .preset = "if-present",
        .choices = revocations,
        .meaning = "strict wants a CRL that has not expired for each certificate below the CA; if-present "
                   "refuses what a CRL revokes; off does not look. CRLs that a peer sends are not used."},
    list_key("suites",
             "Algorithms that protect IKE itself, the preferred first. Default: aes256-gcm16, "
             "aes128-gcm16, chacha20-poly1305, aes256-cbc-sha256."),
    list_key("prfs", "Functions that keys are derived by: sha256, sha384, sha512. Default: all of them."),
    list_key("key-exchanges",
             "Methods of key exchange, the preferred first: x25519, x448, ecp256, ecp384, ecp521, modp2048, "
             "modp3072, modp4096. Default: x25519, ecp256, ecp384, modp3072, modp2048."),
    list_key(
        "additional-key-exchanges",
        "Methods of further key exchanges behind the first one, each different, 7 at most (RFC 9370): all of "
        "them have to be broken to learn the keys, those that replace them included. The peer must be set up "
        "alike. Default: none."),
    list_key("child-suites",
             "Algorithms that protect traffic, the preferred first: those that encrypt, and not "
             "with SHA-1. Default: as suites."),
    list_key(
        "pfs",
        "Methods of key exchange that traffic keys get when they are replaced, so that they do not follow "
        "from IKE's; [ ] for none. Default: as key-exchanges.",
        0),
    list_key(
        "additional-pfs",
        "Methods of further key exchanges behind that of pfs, as additional-key-exchanges (IKE_FOLLOWUP_KE). "
        "Default: as additional-key-exchanges, or none if pfs is [ ].",
        0),
    Key{.name = "start",
        .kind = Kind::choice,
        .preset = "always",
        .choices = starts,
        .meaning = "always brings the connection up and keeps it up, on-demand with the first packet for it, "
                   "passive leaves that to the peer, as it is in any case with remote = \"any\"."},
    Key{.name = "childless",
        .kind = Kind::boolean,
        .preset = "false",
        .meaning =
            "As the one that begins: makes IKE alone first and the child SAs afterwards (RFC 6023), so that "
            "the first one's keys have a key exchange of their own, too; with a peer that cannot do that, "
            "nothing. As the other side both ways are taken in any case."},
    seconds_key("rekey-after", 60, "14000", "Age at which IKE's keys are replaced."),
    seconds_key("expires-after", 120, "16000", "Age at which they are given up if that failed."),
    seconds_key("child-rekey-after", 60, "3000", "Age at which the traffic's keys are replaced."),
    seconds_key("child-expires-after", 120, "3600", "Age at which they are given up if that failed."),
    seconds_key(
        "reauthenticate-after", 0, "0",
        "Age, with new keys and all, at which we begin anew if we began: both sides prove again who they "
        "are, so a certificate that has expired or was revoked is found out. 60 or more; the old IKE SA goes "
        "once the new one has all children. If the peer began it is told to do the same in time "
        "(AUTH_LIFETIME, RFC 4478), as we do when it tells us; if it has not half a minute after that, its "
        "IKE SA is closed. 0 never does, unless the peer says so."),
    seconds_key(
        "liveness", 0, "30",
        "Silence of the peer after which it is asked whether it is there; 0 never asks. Behind a NAT, "
        "with other-addresses, it is asked that often in any case whether the NAT's mapping of ours "
        "is another by now."),
    Key{.name = "tries",
        .kind = Kind::integer,
        .least = 1,
        .most = 12,
        .preset = "6",
        .meaning =
            "How often a message is sent before the peer counts as gone. The first wait is one second, "
            "and each the double of the one before: 6 tries take a minute, 3 take 7 seconds."},
    list_key(
        "assign",
        "Addresses that the peer gets if it asks for some (the configuration payload), one of IPv4, IPv6 or "
        "each. They must lie in remote-networks. With remote = \"any\" they are networks, of which each peer "
        "must ask for an address, and has nothing else."),
    Key{.name = "request-addresses",
        .kind = Kind::boolean,
        .preset = "false",
        .meaning =
            "As the one that begins: asks the peer for addresses of the families in local-networks, which "
            "must contain them. They are put beside local on its port while the IKE SA is there."},
    list_key("assign-dns", "DNS servers that it is told of then."),
    list_key(
        "other-addresses",
        "Other outer addresses of ours, the preferred ones first, for when local is gone or nothing comes "
        "back to it. Of local and these, those count that are on the port which the kernel's route to the "
        "peer leads out by, or on lo; only if none is, those on another port. So an address of a second "
        "uplink is used when the route changes to there, and not beside it. A deprecated address counts "
        "only without another, a tentative one not at all. If we began the tunnel moves there (MOBIKE, RFC "
        "4555), with new SAs, and back once local is there again; with a peer that cannot do that, or takes "
        "us at none of them, all is negotiated anew. If the peer began it hears of them, and may move to "
        "them."),
    Key{.name = "fragment-bytes",
        .kind = Kind::integer,
        .unit = "bytes",
        .least = 0,
        .most = 65'000,
        .preset = "1200",
        .meaning =
            "IKE messages that are longer go in parts (RFC 7383) if the peer can do that: 576 or more. 0 "
            "sends all whole."},
    Key{.name = "ppk",
        .kind = Kind::choice,
        .preset = "off",
        .choices = ppk_uses,
        .meaning = "Whether a postquantum preshared key (RFC 8784) is mixed into the keys: not at "
                   "all, if the peer has it too, or always."},
    text_key("ppk-id", "Its name, which goes over the network."),
    text_key("ppk-file",
             "File that holds it, which others must not be able to read, as psk-file: 32 bytes at least."),
};

}  // namespace

const Group ike_group{
    "connections[].ike",
    "Keys by IKEv2 instead of inbound and outbound. With psk or psk-file, nothing else is needed.", ike_keys};

}  // namespace espgate::config
