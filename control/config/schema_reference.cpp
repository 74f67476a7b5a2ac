#include <fmt/format.h>

#include "control/config/schema.hpp"
#include "control/config/words.hpp"

namespace espgate::config {
namespace {

// mdoc takes a backslash as an escape, a period or an apostrophe at the beginning of a line as a request.
std::string plain(std::string_view text) {
  std::string result;
  if (text.starts_with('.') || text.starts_with('\'')) result = "\\&";
  for (const char c : text) {
    if (c == '\\')
      result += "\\e";
    else
      result += c;
  }
  return result;
}

// Each sentence on a line of its own, so that the formatter spaces them.
std::string sentences(std::string_view text) {
  std::string result;
  for (std::size_t end = 0; !text.empty(); text.remove_prefix(end)) {
    const auto stop = text.find(". ");
    end = stop == std::string_view::npos ? text.size() : stop + 2;
    result += plain(text.substr(0, stop == std::string_view::npos ? end : stop + 1)) + "\n";
  }
  return result;
}

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::boolean:
      return "True or false";
    case Kind::integer:
      return "Number";
    case Kind::text:
    case Kind::secret:
    case Kind::choice:
      return "Text";
    case Kind::integers:
      return "List of numbers";
    case Kind::texts:
      return "List of texts";
    case Kind::group:
      return "Group";
    case Kind::groups:
      return "List of groups";
  }
  return "";
}

bool is_number(Kind kind) {
  return kind == Kind::integer || kind == Kind::integers;
}
bool is_quoted(Kind kind) {
  return kind == Kind::text || kind == Kind::choice;
}

// "Number, 576 to 9000 bytes, default 1500"
std::string facts(const Key& key) {
  std::string text(kind_name(key.kind));
  if (key.kind == Kind::choice) text += ", " + one_of(key.choices);
  const auto unit = key.unit.empty() ? "" : fmt::format(" {}", key.unit);
  if (is_number(key.kind))
    text += key.hexadecimal         ? fmt::format(", {:#x} to {:#x}", key.least, key.most)
            : key.least == key.most ? fmt::format(", {} only", key.least)
                                    : fmt::format(", {} to {}{}", key.least, key.most, unit);
  if (!key.word.empty()) text += fmt::format(", or \"{}\"", key.word);
  if (!key.multiples.empty()) text += ", or text with " + names_of_multiples(key);
  if (!is_number(key.kind) && !key.unit.empty()) text += fmt::format(", at most {}{}", key.most, unit);
  if (key.most_elements != 0) text += fmt::format(", at most {} entries", key.most_elements);
  if (key.required) text += ", required";
  const std::string quote = is_quoted(key.kind) ? "\"" : "";
  if (!key.preset.empty()) text += fmt::format(", default {0}{1}{0}", quote, key.preset);
  return text;
}

constexpr std::string_view head =
    R"(.\" Printed from the table in control/config/schema.cpp; a test compares the two.
.Dd $Mdocdate$
.Dt ESPGATE.CONF 5
.Os
.Sh NAME
.Nm espgate.conf
.Nd configuration of the espgate security gateway
.Sh DESCRIPTION
.Nm
says which network devices
.Xr espgated 8
drives, which tunnels it keeps and how much of everything there can be.
The file is read once at start.
.Ql espgated --check FILE
makes all the checks of a start and reports every error with its line, the value and what to do about it.
.Pp
The syntax is that of libconfig: settings
.Ql name = value;
in any order, groups in braces
.Ql { ... } ,
lists of groups in parentheses
.Ql \&( { ... }, { ... } \&) ,
lists of numbers or texts in brackets
.Ql \&[ ..., ... \&] .
There is no comma behind the last element of a list.
Text stands in double quotes.
Numbers are decimal, or hexadecimal with a leading 0x.
Comments begin with
.Ql #
or
.Ql //
and go to the end of the line, or stand between
.Ql /*
and
.Ql */ .
.Pp
A line
.Ql @include \(dqother.conf\(dq
is replaced by the content of that file.
Relative names of files, here and in key-file, start at the directory of the file that has the line.
.Pp
Messages count the elements of lists from 0:
.Ql ports[0].mtu
is the MTU of the first port.
)";

constexpr std::string_view tail = R"(.Sh FILES
.Bl -tag -width Ds
.It Pa /etc/espgate/espgate.conf
The file that is read unless another one is named.
It should have mode 0600 when there are keys in it.
.El
.Sh EXAMPLES
Two ports and one tunnel between 10.1.0.0/24 on our side and 10.2.0.0/24 behind the peer:
.Bd -literal -offset indent
ports = (
  { name = "outside"; device = "0000:3b:00.0"; ipsec = true;
    addresses = [ "192.0.2.1/24" ]; },
  { name = "inside"; device = "0000:3b:00.1";
    addresses = [ "10.1.0.1/24" ]; }
);
connections = (
  { name = "branch"; local = "192.0.2.1"; remote = "192.0.2.2";
    local-networks = [ "10.1.0.0/24" ];
    remote-networks = [ "10.2.0.0/24" ];
    inbound = { spi = 0x1001; key-file = "branch-in.key"; };
    outbound = { spi = 0x2001; key-file = "branch-out.key"; }; }
);
.Ed
.Pp
Keys by IKE, in place of inbound and outbound, with a key that both sides have:
.Pp
.Dl ike = { psk-file = \(dqbranch.psk\(dq; };
.Dl umask 077; openssl rand -base64 33 > branch.psk
.Pp
A file of manual keys for aes128-gcm16, 16 bytes of key and 4 bytes of salt:
.Pp
.Dl umask 077; openssl rand -hex 20 > branch-in.key
.Pp
Keys take 16, 24 or 32 bytes for AES by its bits, 32 for ChaCha20; salts 4 bytes for gcm16, gmac, ctr and
poly1305, 3 for ccm16; integrity keys 20 bytes for sha1, 32 for sha256, 48 for sha384, 64 for sha512.
.Sh SEE ALSO
.Xr espgatectl 8 ,
.Xr espgated 8
.Sh CAVEATS
AES in GCM, CCM and CTR mode and ChaCha20-Poly1305 are not meant for manual keys (RFC 4106, section 2): an IV
that is used twice under one key reveals the traffic of both packets and, but for CTR, lets others forge more.
Every SA has a key of its own; the same key in two places is an error.
)";

}  // namespace

std::string schema_reference() {
  std::string page;
  for (const auto* group : groups()) {
    page +=
        fmt::format(".Ss {}\n{}", group->path.empty() ? "Top level" : group->path, sentences(group->meaning));
    page += ".Bl -tag -width Ds\n";
    for (const auto& key : group->keys)
      page += fmt::format(".It Ic {}\n{}.\n{}", key.name, facts(key), sentences(key.meaning));
    page += ".El\n";
  }
  return page;
}

std::string manual_page() {
  return fmt::format("{}.Sh KEYS\n{}{}", head, schema_reference(), tail);
}

}  // namespace espgate::config
