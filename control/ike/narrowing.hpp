// Traffic selectors of both sides made one (RFC 7296 2.9). Any thread.
#pragma once

#include <optional>
#include <vector>

#include "control/ike/message.hpp"

namespace espgate::ike {

// What both allow, each part once and none within another; no sides: nothing. Opaque ports are not ours to
// choose.
TrafficSelectors narrow(const TrafficSelectors& offered, const std::vector<SelectorSide>& ours);
// Whether all of `answer` lies within what was offered, and there is something.
bool is_within(const TrafficSelectors& answer, const std::vector<SelectorSide>& offered);
// Each local side with each remote one that it can go with. None: nothing fits, or more than an SA can have.
std::optional<std::vector<net::TrafficSelector>> pairs(const TrafficSelectors& local,
                                                       const TrafficSelectors& remote);

// The same, and if that is more than an SA can have, of as many sides as it can (RFC 7296 2.9): the others
// leave the lists. None: nothing fits.
std::optional<std::vector<net::TrafficSelector>> narrow_to_pairs(TrafficSelectors& local,
                                                                 TrafficSelectors& remote);

}  // namespace espgate::ike
