// Keys, certificates and CRLs of IKE from the files that the configuration names. No message says anything of
// a secret.
#pragma once

#include <string>
#include <vector>

#include "control/ike/certificate.hpp"
#include "control/ike/public_key.hpp"
#include "datapath/base/expected.hpp"
#include "datapath/base/secret.hpp"

namespace espgate::config {

// PEM, not encrypted. Errors: unreadable, open to others than owner and group, or not a key that signs.
struct PrivateKeyFile {
  ike::PrivateKey key;
  bool group_readable;
};
Expected<PrivateKeyFile> load_private_key(const std::string& path);

// Of one file in PEM or DER, in its order, or of all files of a folder whose names end in .pem, .crt, .cer or
// .der (for CRLs: .crl as well), in the order of their names. One at least. In a folder, files may hold both
// kinds and what has none of this kind is passed over.
Expected<std::vector<ike::X509Certificate>> load_certificates(const std::string& path);
Expected<std::vector<ike::RevocationList>> load_revocation_lists(const std::string& path);

}  // namespace espgate::config
