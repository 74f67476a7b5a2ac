// What no peer may send: each is an error with the notify that answers it, and nothing is read beyond the
// bytes (which the sanitizers watch: every input is an allocation of its own).
#include <catch2/catch.hpp>

#include "tests/control/ike/sample_messages.hpp"

using namespace espgate;
using namespace espgate::ike;

namespace {

using Buffer = std::vector<std::uint8_t>;

struct Case {
  const char* name;
  PayloadType type;
  Buffer body;  // behind the payload's header
  const char* what;
};

std::optional<DecodeError> decode(PayloadType first, const Buffer& bytes) {
  const Buffer own(bytes);
  Payloads payloads;
  return decode_payloads(first, own, payloads);
}

Buffer with_header(const Buffer& body) {
  Buffer bytes = {0, 0, static_cast<std::uint8_t>((body.size() + 4) >> 8),
                  static_cast<std::uint8_t>(body.size() + 4)};
  bytes.insert(bytes.end(), body.begin(), body.end());
  return bytes;
}

const Case cases[] = {
    {"KE without a key", PayloadType::key_exchange, {0, 31, 0, 0}, "no key"},
    {"KE cut off", PayloadType::key_exchange, {0, 31, 0}, "cut off"},
    {"nonce of 15", PayloadType::nonce, Buffer(15), "16 to 256"},
    {"nonce of 257", PayloadType::nonce, Buffer(257), "16 to 256"},
    {"an IPv4 identity of 3", PayloadType::id_initiator, {1, 0, 0, 0, 10, 0, 0}, "not an address"},
    {"an IPv6 identity of 4", PayloadType::id_responder, {5, 0, 0, 0, 10, 0, 0, 1}, "not an address"},
    {"notify's SPI cut off", PayloadType::notify, {3, 4, 0x40, 9, 1, 2, 3}, "cut off"},
    {"delete of fewer SPIs", PayloadType::delete_sas, {3, 4, 0, 2, 0, 0, 0, 1}, "as many"},
    {"delete of more SPIs", PayloadType::delete_sas, {3, 4, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2}, "as many"},
    {"delete of long SPIs", PayloadType::delete_sas, {3, 8, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2}, "as long"},
    {"delete of 65,535 SPIs of no size", PayloadType::delete_sas, {3, 0, 0xff, 0xff}, "as long"},
    {"delete of an IKE SPI", PayloadType::delete_sas, {1, 8, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2}, "without naming"},
    {"no proposal", PayloadType::security_association, {}, "cut off"},
    {"proposal without transforms",
     PayloadType::security_association,
     {0, 0, 0, 8, 1, 1, 0, 0},
     "no transform"},
    {"proposal of length 3", PayloadType::security_association, {0, 0, 0, 3, 1, 1, 0, 0}, "shorter"},
    {"proposal followed by nothing",
     PayloadType::security_association,
     {2, 0, 0, 16, 1, 1, 0, 1, 0, 0, 0, 8, 1, 0, 0, 20},
     "cut off"},
    {"proposal of another kind",
     PayloadType::security_association,
     {1, 0, 0, 16, 1, 1, 0, 1, 0, 0, 0, 8, 1, 0, 0, 20},
     "neither the last"},
    {"proposals 1 and 3",
     PayloadType::security_association,
     {2, 0, 0, 16, 1, 1, 0, 1, 0, 0, 0, 8, 1, 0, 0, 20, 0, 0, 0, 16, 3, 1, 0, 1, 0, 0, 0, 8, 1, 0, 0, 20},
     "one by one"},
    {"two transforms announced as one",
     PayloadType::security_association,
     {0, 0, 0, 24, 1, 1, 0, 1, 3, 0, 0, 8, 1, 0, 0, 20, 0, 0, 0, 8, 2, 0, 0, 5},
     "number of transforms"},
    {"one transform announced as two",
     PayloadType::security_association,
     {0, 0, 0, 16, 1, 1, 0, 2, 3, 0, 0, 8, 1, 0, 0, 20},
     "shorter"},
    {"transform of length 3",
     PayloadType::security_association,
     {0, 0, 0, 16, 1, 1, 0, 1, 0, 0, 0, 3, 1, 0, 0, 20},
     "shorter"},
    {"attribute cut off",
     PayloadType::security_association,
     {0, 0, 0, 18, 1, 1, 0, 1, 0, 0, 0, 10, 1, 0, 0, 20, 0x80, 14},
     "cut off"},
    {"long attribute cut off",
     PayloadType::security_association,
     {0, 0, 0, 20, 1, 1, 0, 1, 0, 0, 0, 12, 1, 0, 0, 20, 0, 14, 0, 2},
     "cut off"},
    {"no selector", PayloadType::ts_initiator, {0, 0, 0, 0}, "no traffic selector"},
    {"selector of length 7", PayloadType::ts_initiator, {1, 0, 0, 0, 7, 0, 0, 7, 0, 0, 0, 0}, "shorter"},
    {"selector of length 3", PayloadType::ts_initiator, {1, 0, 0, 0, 7, 0, 0, 3, 0, 0, 0, 0}, "shorter"},
    {"IPv4 selector of IPv6's length", PayloadType::ts_initiator,
     [] {
       Buffer body = {1, 0, 0, 0, 7, 0, 0, 40, 0, 0, 0xff, 0xff};
       body.resize(4 + 40);
       return body;
     }(),
     "does not fit"},
    {"selector backwards",
     PayloadType::ts_responder,
     {1, 0, 0, 0, 7, 0, 0, 16, 0, 0, 0xff, 0xff, 10, 0, 0, 2, 10, 0, 0, 1},
     "ends before"},
    {"ports backwards",
     PayloadType::ts_responder,
     {1, 0, 0, 0, 7, 6, 0, 16, 0, 2, 0, 1, 10, 0, 0, 1, 10, 0, 0, 2},
     "ports end"},
    {"two selectors announced as one",
     PayloadType::ts_responder,
     {1, 0, 0, 0, 9, 0, 0, 8, 0, 0, 0, 0, 9, 0, 0, 8, 0, 0, 0, 0},
     "behind the last"},
    {"configuration attribute cut off",
     PayloadType::configuration,
     {1, 0, 0, 0, 0, 1, 0, 4, 1, 2},
     "cut off"},
    {"fragment 0", PayloadType::encrypted_fragment, {0, 0, 0, 2, 9}, "number"},
    {"fragment above the total", PayloadType::encrypted_fragment, {0, 3, 0, 2, 9}, "number"},
    {"first fragment of nothing", PayloadType::encrypted_fragment, {0, 1, 0, 2, 9}, "names the first"},
};

}  // namespace

TEST_CASE("payloads that are not what they say are an error") {
  for (const auto& example : cases) {
    CAPTURE(example.name);
    const auto error = decode(example.type, with_header(example.body));
    REQUIRE(error);
    CHECK(error->notify == NotifyType::invalid_syntax);
    CHECK(error->payload == static_cast<std::uint8_t>(example.type));
    CHECK_THAT(std::string(error->what), Catch::Contains(example.what));
  }
}

TEST_CASE("payload lengths 0 to 3, and beyond the message, are an error") {
  for (std::uint8_t length = 0; length < 4; ++length) {
    const auto error = decode(PayloadType::vendor_id, {0, 0, 0, length});
    REQUIRE(error);
    CHECK_THAT(std::string(error->what), Catch::Contains("shorter than its header"));
  }
  const auto error = decode(PayloadType::vendor_id, {0, 0, 0, 6, 1});
  REQUIRE(error);
  CHECK_THAT(std::string(error->what), Catch::Contains("longer than the message"));
  CHECK(decode(PayloadType::vendor_id, {0, 0, 0, 4, 0}));  // something behind the last
  CHECK(decode(PayloadType::none, {0}));
  CHECK_FALSE(decode(PayloadType::none, {}));
}

TEST_CASE("what may come once may not come twice") {
  PayloadWriter sa, ke, ts, nonce, id;
  sa.add(test::proposals()).add(test::proposals());
  ke.add(KeyExchange{31, test::long_bytes}).add(KeyExchange{31, test::long_bytes});
  ts.add_ts_initiator(test::selectors()).add_ts_initiator(test::selectors());
  nonce.add_nonce(test::long_bytes).add_nonce(test::long_bytes);
  id.add_id_initiator({IdType::fqdn, test::text_bytes}).add_id_initiator({IdType::fqdn, test::text_bytes});
  for (const auto* writer : {&sa, &ke, &ts, &nonce, &id}) {
    Payloads payloads;
    const auto error = decode_payloads(writer->first(), writer->bytes(), payloads);
    REQUIRE(error);
    CHECK_THAT(std::string(error->what), Catch::Contains("two of this payload"));
  }
}

TEST_CASE("nothing may follow the encrypted payload") {
  const auto error = decode(PayloadType::encrypted, {41, 0, 0, 6, 1, 2, 0, 0, 0, 4});
  REQUIRE(error);
  CHECK_THAT(std::string(error->what), Catch::Contains("behind the encrypted payload"));
}

TEST_CASE("headers that are not IKEv2's are an error") {
  const PayloadWriter nothing;
  const auto good = write_message(test::header(), nothing);
  Header header;
  for (std::size_t size = 0; size < good.size(); ++size) {
    const Buffer part(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK(decode_header(part, header));
  }
  const auto with = [&](std::size_t at, std::uint8_t value) {
    auto bytes = good;
    bytes[at] = value;
    return decode_header(bytes, header);
  };
  CHECK(with(17, 0x30)->notify == NotifyType::invalid_major_version);
  CHECK(with(17, 0x10)->notify == NotifyType::invalid_syntax);
  CHECK_FALSE(with(17, 0x2f));  // minor versions do not matter
  CHECK(with(27, 29));
  CHECK(with(27, 27));
  CHECK(with(24, 1));
  auto no_spi = good;
  std::fill_n(no_spi.begin(), 8, std::uint8_t{0});
  CHECK(decode_header(no_spi, header));
}

TEST_CASE("no truncation and no flipped bit of a message is read beyond its end") {
  const auto writer = test::everything();
  const Buffer whole(writer.bytes().begin(), writer.bytes().end());
  int refused = 0;
  for (std::size_t size = 0; size < whole.size(); ++size)
    refused +=
        decode(writer.first(), Buffer(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)))
            .has_value();
  CHECK(refused == static_cast<int>(whole.size()));
  int accepted = 0;
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    auto flipped = whole;
    flipped[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    accepted += !decode(writer.first(), flipped).has_value();
  }
  // Those in contents are not the codec's to notice.
  CHECK(accepted > 0);
  CHECK(accepted < static_cast<int>(8 * whole.size()));
}
