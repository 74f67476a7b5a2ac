// A selector as an operator writes it, in the file or on the command line, checked and read.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "datapath/net/traffic_selector.hpp"

namespace espgate::config {

// The keys of a selector, as whoever wrote it calls them.
struct SelectorKeys {
  std::string_view local, remote, local_port, remote_port;
  std::string_view protocol = "protocol";
  std::string_view icmp_type = "icmp-type";
};

struct SelectorTexts {
  std::optional<std::string> local, remote, local_port, remote_port, protocol, icmp_type;
};

// Told of each error: the key, what is wrong with it, and what to do.
using Complain = std::function<void(std::string_view key, std::string message, std::string remedy)>;

// Without `local` or `remote` it is everything, of the other one's family or of both: the result is one
// selector or two, none when something is wrong.
std::vector<net::TrafficSelector> read_selectors(const SelectorTexts& texts, const SelectorKeys& keys,
                                                 const Complain& complain);

// A prefix. Nothing when it is none, which is told.
std::optional<net::Prefix> read_prefix(const std::string& text, std::string_view key,
                                       const Complain& complain);

}  // namespace espgate::config
