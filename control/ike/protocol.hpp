// The numbers of IKEv2 that this gateway knows (RFC 7296 and IANA's "IKEv2 Parameters"). Others may arrive:
// an enumeration holds any value of its width.
#pragma once

#include <cstdint>

namespace espgate::ike {

inline constexpr std::uint8_t major_version = 2;
inline constexpr std::size_t header_bytes = 28;
inline constexpr std::size_t payload_header_bytes = 4;

enum class ExchangeType : std::uint8_t {
  ike_sa_init = 34,
  ike_auth = 35,
  create_child_sa = 36,
  informational = 37,
  ike_intermediate = 43,  // RFC 9242
  ike_followup_ke = 44,   // RFC 9370
};

// RFC 7296 3.1.
inline constexpr std::uint8_t flag_initiator = 0x08;  // from the IKE SA's original initiator
inline constexpr std::uint8_t flag_version = 0x10;    // the sender can speak a higher major version
inline constexpr std::uint8_t flag_response = 0x20;

enum class PayloadType : std::uint8_t {
  none = 0,
  security_association = 33,
  key_exchange = 34,
  id_initiator = 35,
  id_responder = 36,
  certificate = 37,
  certificate_request = 38,
  authentication = 39,
  nonce = 40,
  notify = 41,
  delete_sas = 42,
  vendor_id = 43,
  ts_initiator = 44,
  ts_responder = 45,
  encrypted = 46,
  configuration = 47,
  eap = 48,
  encrypted_fragment = 53,  // RFC 7383
};

enum class ProtocolId : std::uint8_t { none = 0, ike = 1, ah = 2, esp = 3 };

enum class TransformType : std::uint8_t {
  encryption = 1,
  prf = 2,
  integrity = 3,
  key_exchange = 4,
  sequence_numbers = 5,
  additional_key_exchange_1 = 6,  // to 12 for the seventh, RFC 9370
};

enum class NotifyType : std::uint16_t {
  // Errors.
  unsupported_critical_payload = 1,
  invalid_ike_spi = 4,
  invalid_major_version = 5,
  invalid_syntax = 7,
  invalid_message_id = 9,
  invalid_spi = 11,
  no_proposal_chosen = 14,
  invalid_ke_payload = 17,
  authentication_failed = 24,
  single_pair_required = 34,
  no_additional_sas = 35,
  internal_address_failure = 36,
  failed_cp_required = 37,
  ts_unacceptable = 38,
  invalid_selectors = 39,
  unacceptable_addresses = 40,
  unexpected_nat_detected = 41,
  temporary_failure = 43,
  child_sa_not_found = 44,
  state_not_found = 47,  // RFC 9370
  // Status.
  initial_contact = 16384,
  set_window_size = 16385,
  additional_ts_possible = 16386,
  ipcomp_supported = 16387,
  nat_detection_source_ip = 16388,
  nat_detection_destination_ip = 16389,
  cookie = 16390,
  use_transport_mode = 16391,
  http_cert_lookup_supported = 16392,
  rekey_sa = 16393,
  esp_tfc_padding_not_supported = 16394,
  non_first_fragments_also = 16395,
  mobike_supported = 16396,  // RFC 4555
  additional_ip4_address = 16397,
  additional_ip6_address = 16398,
  no_additional_addresses = 16399,
  update_sa_addresses = 16400,
  cookie2 = 16401,
  no_nats_allowed = 16402,
  auth_lifetime = 16403,
  redirect_supported = 16406,
  redirect = 16407,
  childless_ikev2_supported = 16418,  // RFC 6023
  quick_crash_detection = 16419,      // RFC 6290
  ikev2_fragmentation_supported = 16430,
  signature_hash_algorithms = 16431,  // RFC 7427
  use_ppk = 16435,                    // RFC 8784
  ppk_identity = 16436,
  no_ppk_auth = 16437,
  intermediate_exchange_supported = 16438,
  additional_key_exchange = 16441,  // RFC 9370
};
constexpr bool is_error(NotifyType type) {
  return static_cast<std::uint16_t>(type) < 16384;
}

enum class IdType : std::uint8_t {
  ipv4 = 1,
  fqdn = 2,
  rfc822 = 3,
  ipv6 = 5,
  distinguished_name = 9,
  general_name = 10,
  key_id = 11,
};

enum class CertificateEncoding : std::uint8_t { x509_signature = 4, crl = 7, hash_and_url = 12 };

enum class AuthMethod : std::uint8_t {
  rsa_signature = 1,
  shared_key = 2,
  ecdsa_256 = 9,
  ecdsa_384 = 10,
  ecdsa_521 = 11,
  digital_signature = 14,  // RFC 7427
};

enum class ConfigurationType : std::uint8_t { request = 1, reply = 2, set = 3, acknowledge = 4 };

enum class ConfigurationAttribute : std::uint16_t {
  internal_ip4_address = 1,
  internal_ip4_netmask = 2,
  internal_ip4_dns = 3,
  application_version = 7,
  internal_ip6_address = 8,
  internal_ip6_dns = 10,
  internal_ip4_subnet = 13,
  supported_attributes = 14,
  internal_ip6_subnet = 15,
};

}  // namespace espgate::ike
