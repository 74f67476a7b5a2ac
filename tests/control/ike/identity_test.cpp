#include "control/ike/identity.hpp"

#include <catch2/catch.hpp>

#include "control/ike/distinguished_name.hpp"
#include "tests/control/ike/hex.hpp"

using namespace espgate;
using namespace espgate::ike;
using test::hex;

namespace {

Identity identity(std::string_view text) {
  const auto parsed = parse_identity(text);
  INFO(text);
  REQUIRE(parsed);
  return *parsed;
}

bool matches(std::string_view pattern, std::string_view text) {
  const auto parsed = IdentityPattern::parse(pattern);
  INFO(pattern);
  REQUIRE(parsed);
  CHECK(parsed->text() == pattern);
  return parsed->matches(identity(text));
}

std::string refusal(std::string_view text) {
  const auto parsed = parse_identity(text);
  INFO(text);
  REQUIRE_FALSE(parsed);
  return parsed.error().what;
}

std::vector<std::uint8_t> bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

}  // namespace

TEST_CASE("an identity's type is told from its form") {
  CHECK(identity("192.0.2.1") == Identity{IdType::ipv4, hex("c0000201")});
  CHECK(identity("2001:db8::1") == Identity{IdType::ipv6, hex("20010db8000000000000000000000001")});
  CHECK(identity("gw.example.org") == Identity{IdType::fqdn, bytes_of("gw.example.org")});
  CHECK(identity("fqdn:192.0.2.1") == Identity{IdType::fqdn, bytes_of("192.0.2.1")});
  CHECK(identity("gw@example.org") == Identity{IdType::rfc822, bytes_of("gw@example.org")});
  CHECK(identity("key-id:branch 7") == Identity{IdType::key_id, bytes_of("branch 7")});
  CHECK(identity("key-id:0x00ff") == Identity{IdType::key_id, hex("00ff")});
  // SEQUENCE { SET { SEQUENCE { C, PrintableString "DE" } }, SET { SEQUENCE { CN, UTF8String "gw" } } }
  CHECK(identity("C=DE, CN=gw") ==
        Identity{IdType::distinguished_name,
                 hex("301a 310b 3009 0603550406 13024445 310b 3009 0603550403 0c026777")});
}

TEST_CASE("what is no identity is refused with a reason") {
  CHECK_THAT(refusal(""), Catch::Contains("not a host name"));
  CHECK_THAT(refusal("gw example"), Catch::Contains("not a host name"));
  CHECK_THAT(refusal("gw..example"), Catch::Contains("not a host name"));
  CHECK_THAT(refusal("example.org."), Catch::Contains("not a host name"));
  CHECK_THAT(refusal("@example.org"), Catch::Contains("not an e-mail address"));
  CHECK_THAT(refusal("gw@"), Catch::Contains("not an e-mail address"));
  CHECK_THAT(refusal("key-id:"), Catch::Contains("empty"));
  CHECK_THAT(refusal("key-id:0xf"), Catch::Contains("half a byte"));
  CHECK_THAT(refusal("key-id:0xzz"), Catch::Contains("hexadecimal"));
  CHECK_THAT(refusal("XY=1"), Catch::Contains("\"XY\" is not a part of a name"));
  CHECK_THAT(refusal("1.2." + std::string(61, '3') + "=1"), Catch::Contains("is not a part of a name"));
  CHECK_THAT(refusal("1. 2=1"), Catch::Contains("is not a part of a name"));
  CHECK_THAT(refusal(std::string_view("1.2.3\0=1", 8)), Catch::Contains("is not a part of a name"));
  CHECK_THAT(refusal("CN="), Catch::Contains("no value"));
  CHECK_THAT(refusal("CN=gw,"), Catch::Contains("no \"=\""));
  CHECK_THAT(refusal("C=Germany"), Catch::Contains("cannot be the value of C"));
  CHECK_THAT(refusal("CN=a\\z"), Catch::Contains("\"\\\""));
  CHECK_THAT(refusal("key-id:" + std::string(2'049, 'a')), Catch::Contains("2049 bytes"));
}

TEST_CASE("an identity is shown as it can be written") {
  for (const auto* text :
       {"192.0.2.1", "2001:db8::1", "gw.example.org", "fqdn:192.0.2.1", "gw@example.org", "key-id:branch",
        "key-id:0x00ff", "C=DE, O=Example, CN=gw", "O=Smith\\, Jones \\+ Sons, CN=\\ gw\\ ",
        "serialNumber=7 + CN=gw", "email:a=b@c", "CN=M\\C3\\BCller"})
    CHECK(to_string(identity(text)) == text);
  CHECK(to_string(identity("cn = gw , O=x,email=a@b")) == "CN=gw, O=x, emailAddress=a@b");
  CHECK(to_string(identity("CN=gw+serialNumber=7")) == "serialNumber=7 + CN=gw");  // a SET is sorted
  CHECK(to_string(identity("key-id:0x0102")) == "key-id:0x0102");
}

TEST_CASE("what a peer sends is shown without a byte that a terminal would act on") {
  const Identity escape{IdType::fqdn, bytes_of("a\x1b[2J")};
  CHECK(to_string(escape) == "type 2: 0x611b5b324a");
  // A common name with an escape character, and one with a byte that is not ASCII, as a T61String.
  for (const auto* value : {"0c031b5b4a", "1402ff67"}) {
    const auto der = hex(std::string("3010310e300c0603550403") + value);
    Identity name{IdType::distinguished_name, der};
    name.data[1] = static_cast<std::uint8_t>(der.size() - 2);
    name.data[3] = static_cast<std::uint8_t>(der.size() - 4);
    name.data[5] = static_cast<std::uint8_t>(der.size() - 6);
    INFO(value);
    REQUIRE(is_distinguished_name(name.data));
    for (const char c : to_string(name)) CHECK((c >= ' ' && c < '\x7f'));
  }
}

TEST_CASE("a payload that is not what its type says is no identity") {
  const auto of = [](IdType type, std::vector<std::uint8_t> data) {
    return identity_of({type, data}).has_value();
  };
  CHECK(of(IdType::ipv4, hex("c0000201")));
  CHECK_FALSE(of(IdType::ipv4, hex("c00002")));
  CHECK_FALSE(of(IdType::ipv6, hex("c0000201")));
  CHECK(of(IdType::fqdn, bytes_of("gw")));
  CHECK_FALSE(of(IdType::fqdn, {}));
  CHECK_FALSE(of(IdType::fqdn, {'g', 0, 'w'}));
  CHECK_FALSE(of(IdType::rfc822, bytes_of("gw")));
  CHECK_FALSE(of(IdType::distinguished_name, hex("3000 00")));
  CHECK(of(IdType::key_id, {0}));
  CHECK_FALSE(of(IdType::distinguished_name, hex("300d 310b 3009 0603550403 0c02ff67")));  // not UTF-8
  CHECK_FALSE(of(IdType::key_id, std::vector<std::uint8_t>(2'049)));
  CHECK_FALSE(of(IdType::general_name, {1}));
  CHECK_FALSE(of(IdType{77}, {1}));
}

TEST_CASE("host names and the hosts of mailboxes are compared without regard to case") {
  CHECK(same_identity(identity("GW.example.org"), identity("gw.EXAMPLE.org")));
  CHECK_FALSE(same_identity(identity("gw.example.org"), identity("gw.example.or")));
  CHECK(same_identity(identity("Me@Example.org"), identity("Me@example.ORG")));
  CHECK_FALSE(same_identity(identity("Me@example.org"), identity("me@example.org")));
  CHECK_FALSE(same_identity(identity("key-id:A"), identity("key-id:a")));
  CHECK_FALSE(same_identity(identity("key-id:gw"), identity("fqdn:gw")));
}

TEST_CASE("distinguished names are compared by X.509's rules") {
  CHECK(same_identity(identity("C=DE, O=Big  Corp, CN=GW"), identity("C=de,O=big corp,CN=gw")));
  CHECK_FALSE(same_identity(identity("C=DE, CN=gw"), identity("CN=gw, C=DE")));
  CHECK_FALSE(same_identity(identity("CN=gw"), identity("CN=gw, C=DE")));
  // As a PrintableString and as UTF8String.
  CHECK(same_distinguished_name(hex("300d 310b 3009 0603550403 13026777"),
                                hex("300d 310b 3009 0603550403 0c026777")));
  CHECK_FALSE(same_distinguished_name({}, {}));
}

TEST_CASE("patterns say which peers are meant") {
  CHECK(matches("%any", "192.0.2.1"));
  CHECK(IdentityPattern().matches(identity("key-id:x")));
  CHECK(matches("*.example.org", "gw.Example.ORG"));
  CHECK_FALSE(matches("*.example.org", "example.org"));
  CHECK_FALSE(matches("*.example.org", "a.b.example.org"));
  CHECK_FALSE(matches("*.example.org", "gw@a.example.org"));
  CHECK_FALSE(matches("*.example.org", "gwexample.org"));
  CHECK(matches("*@example.org", "me@example.org"));
  CHECK_FALSE(matches("*@example.org", "me@a.example.org"));
  CHECK_FALSE(matches("*@example.org", "example.org"));
  CHECK(matches("192.0.2.0/24", "192.0.2.77"));
  CHECK_FALSE(matches("192.0.2.0/24", "192.0.3.77"));
  CHECK_FALSE(matches("192.0.2.0/24", "2001:db8::1"));
  CHECK_FALSE(matches("192.0.2.0/24", "fqdn:192.0.2.7"));
  CHECK(matches("2001:db8::/32", "2001:db8::1"));
  CHECK(matches("C=DE, O=Example, CN=*", "C=DE, O=EXAMPLE, CN=branch 7"));
  CHECK_FALSE(matches("C=DE, O=Example, CN=*", "C=DE, O=Other, CN=branch 7"));
  CHECK_FALSE(matches("C=DE, CN=*", "C=DE, OU=x, CN=gw"));
  CHECK_FALSE(matches("C=DE, CN=*", "C=DE, OU=gw"));
  CHECK_FALSE(matches("CN=*, C=DE", "CN=a+C=DE"));
  CHECK(matches("gw.example.org", "GW.example.org"));
  CHECK_FALSE(IdentityPattern::parse("*"));
  CHECK_FALSE(IdentityPattern::parse("a*.example.org"));
}

TEST_CASE("only a pattern of one identity can be asked for") {
  CHECK(IdentityPattern(identity("gw.example.org")).only()->data == bytes_of("gw.example.org"));
  CHECK(IdentityPattern::parse("192.0.2.1/32")->only() == nullptr);
  CHECK(IdentityPattern::parse("%any")->only() == nullptr);
  CHECK(IdentityPattern::parse("C=DE, CN=*")->only() == nullptr);
}
