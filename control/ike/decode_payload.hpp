// The bodies of single payloads. Each says what is wrong, or nothing. Not for users of messages.
#pragma once

#include "control/ike/message.hpp"
#include "control/ike/reader.hpp"

namespace espgate::ike {

using Problem = std::optional<std::string_view>;

Problem decode_security_association(Reader reader, SecurityAssociation& out);
Problem decode_key_exchange(Reader reader, KeyExchange& out);
Problem decode_identification(Reader reader, Identification& out);
Problem decode_certificate(Reader reader, Certificate& out);
Problem decode_certificate_request(Reader reader, CertificateRequest& out);
Problem decode_authentication(Reader reader, Authentication& out);
Problem decode_nonce(Reader reader, Bytes& out);
Problem decode_notify(Reader reader, Notify& out);
Problem decode_delete(Reader reader, Delete& out);
Problem decode_traffic_selectors(Reader reader, TrafficSelectors& out);
Problem decode_configuration(Reader reader, ConfigurationPayload& out);

}  // namespace espgate::ike
