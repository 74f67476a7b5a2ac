// Outbound SAs by what a packet of theirs says: the peer's address and the SPI. Chains through arrays that
// are as long as there may be SAs.
#pragma once

#include <cstdint>
#include <vector>

#include "datapath/net/address.hpp"

namespace espgate::sizes {

// One thread.
class OutboundIndex {
 public:
  explicit OutboundIndex(std::uint32_t most_sas);

  // An SA that is there already moves.
  void put(std::uint32_t sa, const net::Address& remote, std::uint32_t spi);
  void remove(std::uint32_t sa);

  static constexpr std::uint32_t nobody = ~std::uint32_t{0};
  // The first SA that `accept` takes, or nobody. It is asked of some that have another address or SPI, too.
  template <typename Accept>
  std::uint32_t find(const net::Address& remote, std::uint32_t spi, Accept accept) const {
    auto sa = first_[bucket_of(remote, spi)];
    while (sa != nobody && !accept(sa)) sa = next_[sa];
    return sa;
  }

 private:
  std::uint32_t bucket_of(const net::Address& remote, std::uint32_t spi) const;

  std::vector<std::uint32_t> first_;   // by bucket, a power of two of them
  std::vector<std::uint32_t> next_;    // by SA
  std::vector<std::uint32_t> bucket_;  // by SA; nobody: it is in none
};

}  // namespace espgate::sizes
