// Why OpenSSL does not believe a chain of certificates, in words. Not for users of control/ike.
#pragma once

#include <openssl/x509.h>

#include "datapath/base/expected.hpp"

namespace espgate::ike {

// Of a context whose verification failed. `list`: the CRL that was looked at then, or null.
Error chain_error(X509_STORE_CTX* context, const X509_CRL* list);

}  // namespace espgate::ike
