// show policies, show policy-match, policy add, policy delete.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "control/cli/values.hpp"
#include "control/config/selector_texts.hpp"
#include "control/daemon/services.hpp"
#include "datapath/net/flow.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;

// No packet has it (RFC 5237), so only policies for any protocol match.
constexpr std::uint8_t reserved_protocol = 255;

std::string_view action(policy::Decision decision) {
  if (decision.demands_protection()) return "protect";
  return decision == policy::Decision::bypass() ? "bypass" : "discard";
}

json policy_json(const Services& services, const sa::Policy& policy) {
  const auto& selector = policy.key.selector;
  const auto fields = narrowed_fields(selector);
  json result{{"priority", policy.key.priority},
              {"from", net::to_string(selector.local)},
              {"to", net::to_string(selector.remote)},
              {"protocol", fields.protocol},
              {"from_ports", fields.local_ports},
              {"to_ports", fields.remote_ports},
              {"icmp_type", fields.icmp_type},
              {"action", policy.rule ? action(policy.decision) : "none"},
              {"connection", policy.key.owner.empty() ? json(nullptr) : json(policy.key.owner)},
              {"spi", nullptr},
              {"comment", policy.comment.empty() ? json(nullptr) : json(policy.comment)},
              {"line", policy.line == 0 ? json(nullptr) : json(policy.line)},
              {"packets", nullptr}};
  if (policy.rule && policy.decision.is_protect())
    result["spi"] = cli::spi_text(services.gateway->sas().outbound(policy.decision.outbound_sa()).spi);
  if (policy.rule) result["packets"] = services.gateway->policies().hits(*policy.rule);
  return result;
}

std::optional<net::Address> address(const cli::Request& request, std::string_view name) {
  const auto text = request.text(name);
  return text ? net::parse_address(*text) : std::nullopt;
}

// In the order that they are searched in, each as it is when the client has room for it.
Expected<void> show_policies(Services& services, const cli::Request& request, const cli::StreamPtr& stream) {
  const auto from = address(request, "from");
  const auto to = address(request, "to");
  const auto connection = request.text("connection");
  const auto is_wanted = [from, to, connection](const sa::Policy& policy) {
    const auto& selector = policy.key.selector;
    return (!from || selector.local.contains(*from)) && (!to || selector.remote.contains(*to)) &&
           (!connection || policy.key.owner == *connection);
  };
  const auto total = std::make_shared<std::uint64_t>(0);
  stream->pull(
      [&services, is_wanted, total, order = std::uint64_t{0}]() mutable -> std::optional<json> {
        const auto& policies = services.sas->policies().policies();
        auto policy = policies.lower_bound(order);
        for (unsigned looks = 0; looks < 64 && policy != policies.end(); ++looks, ++policy) {
          order = policy->first + 1;
          if (!is_wanted(policy->second)) continue;
          ++*total;
          return policy_json(services, policy->second);
        }
        return policy == policies.end() ? std::nullopt : std::optional(json());
      },
      [total] {
        return json{{"total", *total}};
      });
  return {};
}

net::Flow flow_of(const cli::Request& request, const net::Address& from, const net::Address& to) {
  net::Flow flow{};
  flow.set_addresses(from.family, from.bytes.data(), to.bytes.data());
  const auto name = request.text("protocol");
  const auto protocol = name ? *net::parse_protocol(*name) : reserved_protocol;
  const auto first = request.number("from_port");
  const auto second = request.number("to_port").value_or(0);
  const bool judged_by_ports = net::has_ports(protocol) || net::is_icmp(protocol);
  flow.ports_known = !judged_by_ports || first.has_value();
  flow.set_upper(protocol, 0, 0);
  if (first && net::has_ports(protocol))
    flow.set_upper(protocol, static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(second));
  if (first && net::is_icmp(protocol)) {
    const auto type_and_code = static_cast<std::uint16_t>((*first & 0xff) << 8 | (second & 0xff));
    flow.set_upper(protocol, type_and_code, type_and_code);
  }
  return flow;
}

// The tunnel that the route to an address leads into, or an empty name.
std::string tunnel_to(const Services& services, const net::Address& to) {
  const auto& hop = services.gateway->forwarding().hop_to(to.bytes.data(), to.family);
  return hop.kind == forward::HopKind::tunnel ? services.tunnels->name_of(hop.tunnel) : std::string{};
}

std::string explanation(const Services& services, const policy::Match& match, const sa::Policy* policy,
                        const net::Address& to) {
  const auto decision = match.decision;
  if (decision == policy::Decision::ports_unknown())
    return "dropped: without ports it cannot be told whether a policy that goes by them is for it";
  if (policy == nullptr && decision != policy::Decision::none())
    return "dropped: there was no room for a policy between such addresses, which the log names";
  // What no policy discards or protects goes where its route leads.
  if (policy == nullptr || decision == policy::Decision::bypass())
    if (const auto tunnel = tunnel_to(services, to); !tunnel.empty())
      return fmt::format("encrypted by tunnel {}, which the route leads into", tunnel);
  if (policy == nullptr)
    return "no policy matches: dropped in transit; what the kernel sends itself leaves in clear";
  if (decision == policy::Decision::bypass()) return "forwarded in clear";
  if (decision == policy::Decision::discard()) return "discarded";
  if (!decision.is_protect())
    return fmt::format("dropped until connection {} has an outbound SA", policy->key.owner);
  return fmt::format("protected by connection {}, SPI {}", policy->key.owner,
                     cli::spi_text(services.gateway->sas().outbound(decision.outbound_sa()).spi));
}

Expected<json> show_policy_match(Services& services, const cli::Request& request) {
  const auto from = *address(request, "from");
  const auto to = *address(request, "to");
  if (from.family != to.family)
    return Error{"FROM and TO are of different families", "give two IPv4 or two IPv6 addresses"};
  const auto flow = flow_of(request, from, to);
  const std::uint8_t row = 0;
  policy::Match match;
  services.gateway->policies().look_up(&flow, {&row, 1}, &match);
  const auto* policy = services.sas->policies().of_rule(match.rule);
  return json{{"policy", policy == nullptr ? json(nullptr) : policy_json(services, *policy)},
              {"explanation", explanation(services, match, policy, to)}};
}

// As the file's policies are read, and with the same complaints: one selector, or one of each family.
Expected<std::vector<net::TrafficSelector>> selectors_of(const cli::Request& request) {
  const config::SelectorTexts texts{request.text("from"),      request.text("to"),
                                    request.text("from-port"), request.text("to-port"),
                                    request.text("protocol"),  request.text("icmp-type")};
  std::optional<Error> first;
  auto selectors =
      config::read_selectors(texts, {"from", "to", "from-port", "to-port"},
                             [&](std::string_view key, const std::string& message, std::string remedy) {
                               if (!first)
                                 first = Error{fmt::format("--{}: {}", key, message), std::move(remedy)};
                             });
  if (first) return *first;
  return selectors;
}

class Stopwatch {
 public:
  std::int64_t us() const {
    return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point begin_ = Clock::now();
};

Expected<json> add_policy(Services& services, const cli::Request& request) {
  const Stopwatch stopwatch;
  const auto action = *request.text("action");
  const auto connection = request.text("connection");
  const bool protects = action == "protect";
  if (protects != connection.has_value())
    return Error{protects ? std::string("which connection is to protect it?")
                          : fmt::format("no connection can {}", action),
                 protects ? "add --connection NAME" : "leave out --connection, or write protect"};
  const auto selectors = selectors_of(request);
  if (!selectors) return selectors.error();
  const auto preset = protects ? config::connection_priority : config::policy_priority;
  const auto priority = static_cast<std::uint16_t>(request.number("priority").value_or(preset));
  const auto decision = action == "bypass" ? policy::Decision::bypass() : policy::Decision::discard();
  std::vector<const sa::Policy*> added;
  for (const auto& selector : *selectors) {
    sa::PolicyBook::Wanted wanted;
    wanted.key.owner = connection.value_or("");
    wanted.key.priority = priority;
    wanted.key.selector = selector;
    wanted.comment = request.text("comment").value_or("");
    const auto policy = services.sas->add_policy(wanted, decision);
    if (!policy) {
      for (const auto* before : added) (void)services.sas->remove_policy(*before);
      return policy.error();
    }
    added.push_back(*policy);
  }
  const auto took_us = stopwatch.us();
  json result{{"policies", json::array()}, {"took_us", took_us}};
  for (const auto* policy : added) result["policies"].push_back(policy_json(services, *policy));
  return result;
}

Expected<json> delete_policy(Services& services, const cli::Request& request) {
  const Stopwatch stopwatch;
  const auto connection = request.text("connection");
  const auto selectors = selectors_of(request);
  if (!selectors) return selectors.error();
  json result{{"policies", json::array()}};
  for (const auto& selector : *selectors) {
    const auto* policy = services.sas->policies().find(connection.has_value(), selector);
    if (policy == nullptr || (connection && policy->key.owner != *connection)) continue;
    auto described = policy_json(services, *policy);
    if (auto removed = services.sas->remove_policy(*policy); !removed) return removed.error();
    result["policies"].push_back(std::move(described));
  }
  if (result["policies"].empty())
    return Error{fmt::format("{} has no policy for {}",
                             connection ? "connection " + *connection : std::string("the list"),
                             net::to_string(selectors->front())),
                 "`show policies` lists them; `policy delete` wants just what one says"};
  result["took_us"] = stopwatch.us();
  return result;
}

}  // namespace

NarrowedFields narrowed_fields(const net::TrafficSelector& selector) {
  const bool icmp = selector.protocol && net::is_icmp(*selector.protocol);
  const auto ports = [](const net::PortRange& range) {
    return range.is_everything() ? json(nullptr) : json(net::port_text(range));
  };
  const auto& local = selector.local_ports;
  return {selector.protocol ? json(net::protocol_name(*selector.protocol)) : json(nullptr),
          icmp ? json(nullptr) : ports(local), ports(selector.remote_ports),
          icmp && !local.is_everything() ? json(net::icmp_text(local)) : json(nullptr)};
}

void add_policy_commands(Services& services, cli::Handlers& handlers) {
  handlers.stream(cli::CommandId::show_policies,
                  [&services](const cli::Request& request, cli::StreamPtr stream) {
                    return show_policies(services, request, stream);
                  });
  handlers.answer(cli::CommandId::show_policy_match,
                  [&services](const cli::Request& request) { return show_policy_match(services, request); });
  handlers.answer(cli::CommandId::policy_add,
                  [&services](const cli::Request& request) { return add_policy(services, request); });
  handlers.answer(cli::CommandId::policy_delete,
                  [&services](const cli::Request& request) { return delete_policy(services, request); });
}

}  // namespace espgate::daemon
