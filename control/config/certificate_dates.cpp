#include "control/config/certificate_dates.hpp"

#include <fmt/format.h>
#include <openssl/x509.h>

namespace espgate::config {
namespace {

std::string text_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "at a time that cannot be read";
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02} UTC", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min);
}

}  // namespace

std::optional<Error> not_valid(std::span<const ike::X509Certificate> certificates, std::time_t now) {
  for (const auto& each : certificates) {
    const auto* begins = X509_get0_notBefore(each.handle());
    const auto* ends = X509_get0_notAfter(each.handle());
    if (X509_cmp_time(ends, &now) < 0)
      return Error{fmt::format("the certificate {} expired {}, and proves nothing any more", each.subject(),
                               text_of(ends)),
                   "renew it, or correct this machine's clock"};
    if (X509_cmp_time(begins, &now) > 0)
      return Error{fmt::format("the certificate {} is not valid before {}, and proves nothing until then",
                               each.subject(), text_of(begins)),
                   "correct this machine's clock, or have it issued anew"};
  }
  return {};
}

}  // namespace espgate::config
