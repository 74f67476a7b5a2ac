#include "control/sa/earlier_spis.hpp"

#include <utility>

namespace espgate::sa {

EarlierSpis::EarlierSpis(SaStore& store, std::function<bool(std::uint32_t spi)> is_followed)
    : store_(store), is_followed_(std::move(is_followed)) {}

void EarlierSpis::publish(std::span<const std::uint32_t> spis) {
  for (auto spi = spis.rbegin(); spi != spis.rend() && store_.has_spi_room(); ++spi)
    if (store_.publish_earlier(*spi)) spis_.push_front(*spi);
}

void EarlierSpis::make_room() {
  constexpr int most_kept = 8;
  for (int kept = 0; !store_.has_spi_room() && !spis_.empty();) {
    const auto spi = spis_.front();
    spis_.pop_front();
    if (kept < most_kept && store_.is_earlier(spi) && !is_followed_(spi)) {
      spis_.push_back(spi);
      ++kept;
    } else {
      store_.unpublish_earlier(spi);
    }
  }
}

}  // namespace espgate::sa
