// Messages with every payload, for tests of their bytes.
#pragma once

#include "control/ike/write.hpp"

namespace espgate::ike::test {

inline constexpr std::uint8_t spi_bytes[] = {0xde, 0xad, 0xbe, 0xef};
inline constexpr std::uint8_t text_bytes[] = {'s', 'i', 't', 'e', '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e'};
inline constexpr std::uint8_t long_bytes[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                              16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

inline Header header() {
  return {0x0102'0304'0506'0708,         0x1112'1314'1516'1718, PayloadType::none,
          ExchangeType::create_child_sa, flag_initiator,        0x21222324};
}

inline SecurityAssociation proposals() {
  return {{{1,
            ProtocolId::esp,
            spi_bytes,
            {{TransformType::encryption, 20, 256}, {TransformType::sequence_numbers, 1}}},
           {2,
            ProtocolId::esp,
            spi_bytes,
            {{TransformType::encryption, 12, 128},
             {TransformType::integrity, 12},
             {TransformType::sequence_numbers, 0}}}}};
}

inline TrafficSelectors selectors() {
  const auto v4 = [](std::uint32_t value) { return net::Address::v4(value); };
  net::Address first6{{0x20, 0x01, 0x0d, 0xb8}, net::Family::v6};
  auto last6 = first6;
  last6.bytes[15] = 0xff;
  return {{{{v4(0x0a010000), v4(0x0a0100ff)}, {}, {}},
           {{v4(0x0a020001), v4(0x0a020001)}, std::uint8_t{6}, {443, 443}},
           {{first6, last6}, std::uint8_t{17}, {0xffff, 0}}},
          false};
}

// One of each.
inline PayloadWriter everything() {
  PayloadWriter writer;
  writer.add(proposals())
      .add(KeyExchange{31, long_bytes})
      .add_id_initiator({IdType::fqdn, text_bytes})
      .add_id_responder({IdType::ipv4, spi_bytes})
      .add(Certificate{CertificateEncoding::x509_signature, long_bytes})
      .add(CertificateRequest{CertificateEncoding::x509_signature, Bytes(long_bytes).first(20)})
      .add(Authentication{AuthMethod::shared_key, long_bytes})
      .add_nonce(long_bytes)
      .add(Notify{NotifyType::rekey_sa, {}, ProtocolId::esp, spi_bytes})
      .add(Notify{NotifyType::cookie, text_bytes})
      .add(Delete{ProtocolId::esp, {0x1001, 0x1002}})
      .add(Delete{ProtocolId::ike, {}})
      .add_vendor_id(text_bytes)
      .add_ts_initiator(selectors())
      .add_ts_responder(selectors())
      .add({ConfigurationType::request,
            {{ConfigurationAttribute::internal_ip4_address, {}},
             {ConfigurationAttribute::internal_ip4_dns, spi_bytes}}})
      .add_eap(text_bytes);
  return writer;
}

}  // namespace espgate::ike::test
