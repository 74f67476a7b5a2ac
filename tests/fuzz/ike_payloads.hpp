// What must hold of decoded IKE payloads, whoever they came from.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "control/ike/write.hpp"

namespace espgate::testing {

inline void demand(bool truth) {
  if (!truth) std::abort();
}

inline bool lies_within(ike::Bytes part, ike::Bytes whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

// No view points out of the decoded bytes, and counts are what decoding promises.
inline void check_within(const ike::Payloads& payloads, ike::Bytes whole) {
  if (payloads.security_association) {
    demand(!payloads.security_association->proposals.empty());
    for (const auto& proposal : payloads.security_association->proposals)
      demand(lies_within(proposal.spi, whole) && !proposal.transforms.empty());
  }
  if (payloads.nonce) demand(payloads.nonce->size() >= 16 && payloads.nonce->size() <= 256);
  if (payloads.key_exchange) demand(lies_within(payloads.key_exchange->data, whole));
  for (const auto& certificate : payloads.certificates) demand(lies_within(certificate.data, whole));
  for (const auto& notify : payloads.notifies)
    demand(lies_within(notify.data, whole) && lies_within(notify.spi, whole));
  for (const auto& id : payloads.vendor_ids) demand(lies_within(id, whole));
  if (payloads.encrypted) demand(lies_within(payloads.encrypted->content, whole));
  if (payloads.encrypted_fragment) {
    const auto& fragment = *payloads.encrypted_fragment;
    demand(fragment.number >= 1 && fragment.number <= fragment.total && lies_within(fragment.content, whole));
  }
}

// Whether writing can say what was decoded: not what was left out as unknown.
inline bool is_writable(const ike::Payloads& payloads) {
  const auto known = [](const std::optional<ike::TrafficSelectors>& selectors) {
    return !selectors || (!selectors->unknown_type && !selectors->sides.empty());
  };
  if (payloads.security_association)
    for (const auto& proposal : payloads.security_association->proposals)
      if (std::ranges::any_of(proposal.transforms, &ike::Transform::unknown_attribute)) return false;
  return known(payloads.ts_initiator) && known(payloads.ts_responder);
}

inline ike::PayloadWriter written(const ike::Payloads& payloads) {
  ike::PayloadWriter writer;
  if (payloads.security_association) writer.add(*payloads.security_association);
  if (payloads.key_exchange) writer.add(*payloads.key_exchange);
  if (payloads.id_initiator) writer.add_id_initiator(*payloads.id_initiator);
  if (payloads.id_responder) writer.add_id_responder(*payloads.id_responder);
  for (const auto& certificate : payloads.certificates) writer.add(certificate);
  for (const auto& request : payloads.certificate_requests) writer.add(request);
  if (payloads.authentication) writer.add(*payloads.authentication);
  if (payloads.nonce) writer.add_nonce(*payloads.nonce);
  for (const auto& notify : payloads.notifies) writer.add(notify);
  for (const auto& payload : payloads.deletes) writer.add(payload);
  for (const auto& id : payloads.vendor_ids) writer.add_vendor_id(id);
  if (payloads.ts_initiator) writer.add_ts_initiator(*payloads.ts_initiator);
  if (payloads.ts_responder) writer.add_ts_responder(*payloads.ts_responder);
  if (payloads.configuration) writer.add(*payloads.configuration);
  if (payloads.eap) writer.add_eap(*payloads.eap);
  return writer;
}

// Written, decoded and written again gives the same bytes.
inline void check_written_again(const ike::Payloads& payloads) {
  if (!is_writable(payloads)) return;
  const auto once = written(payloads);
  ike::Payloads again;
  demand(!ike::decode_payloads(once.first(), once.bytes(), again));
  const auto twice = written(again);
  demand(std::ranges::equal(once.bytes(), twice.bytes()));
}

}  // namespace espgate::testing
