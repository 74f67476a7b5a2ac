// What a file says of the keys of an SA.
#include <array>

#include "control/config/schema_groups.hpp"

namespace espgate::config {
namespace {

constexpr long long most_uint32 = 4'294'967'295;

constexpr std::array sa_keys{
    Key{.name = "spi",
        .kind = Kind::integer,
        .least = 256,
        .most = most_uint32,
        .hexadecimal = true,
        .required = true,
        .reason = "SPIs 0 to 255 are reserved (RFC 4303 2.1)",
        .meaning = "SPI of the SA. Inbound ones are unique on this box; 0 to 255 are reserved."},
    Key{.name = "key",
        .kind = Kind::secret,
        .most = any_length,
        .meaning =
            "Cipher key, salt, then integrity key, as far as the suite has them, in hexadecimal. Either this "
            "or key-file."},
    Key{.name = "key-file",
        .kind = Kind::text,
        .least = 1,
        .most = any_length,
        .meaning = "File that holds the same digits; a relative name starts at the directory of the file "
                   "that says so. Others must not be able to read it."},
};
}  // namespace

const Group inbound_group{"connections[].inbound", "The SA that decrypts what the peer sends.", sa_keys};
const Group outbound_group{"connections[].outbound", "The SA that encrypts what we send.", sa_keys};

}  // namespace espgate::config
