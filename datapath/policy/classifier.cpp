// The writer's half of the classifier.
#include "datapath/policy/classifier.hpp"

#include <algorithm>
#include <new>
#include <string>

namespace espgate::policy {
namespace {

// Ports that no packet has: a marker only ever meets packets without ports.
constexpr net::PortRange no_ports{1, 0};

// Rules, their markers, and some that were removed and wait for the readers.
// A rule may need a marker; some of both wait until no worker can be looking at them any more.
std::uint32_t slots_for(std::uint32_t rules) {
  return 2 * rules + rules / 8 + 64;
}

std::uint32_t whole_lines(std::uint32_t slots) {
  constexpr std::uint32_t a_line = 64 / sizeof(std::uint64_t);
  return (slots + a_line - 1) / a_line * a_line;
}

std::uint64_t leading(unsigned bits) {  // at most 64
  return bits == 0 ? 0 : ~std::uint64_t{0} << (64 - bits);
}

net::Flow flow_between(const net::Address& local, const net::Address& remote) {
  net::Flow flow{};
  flow.set_addresses(local.family, local.bytes.data(), remote.bytes.data());
  return flow;
}

net::TrafficSelector marker_for(net::TrafficSelector selector) {
  selector.local_ports = no_ports;
  selector.remote_ports = {};
  return selector;
}

}  // namespace

Classifier::Classifier(std::uint32_t rules, unsigned workers, std::pmr::memory_resource& memory,
                       forward::ReaderBarrier barrier)
    : limit_(rules),
      workers_(workers),
      row_(whole_lines(slots_for(rules))),
      table_(slots_for(rules), memory),
      rules_(memory, row_),
      ranges_(memory, row_),
      tuples_(memory, 2 * most_tuples),
      hits_(memory, std::size_t{row_} * workers),
      barrier_(barrier),
      rule_pool_(0, slots_for(rules), barrier),
      tuple_pools_{{first_tuple(net::Family::v4), most_tuples, barrier},
                   {first_tuple(net::Family::v6), most_tuples, barrier}},
      tuple_orders_(2 * most_tuples),
      selectors_(row_) {}

Expected<std::unique_ptr<Classifier>> Classifier::create(std::uint32_t rules, unsigned workers,
                                                         std::pmr::memory_resource& memory,
                                                         forward::ReaderBarrier barrier) {
  if (rules > most_rules)
    return Error{"a table for " + std::to_string(rules) + " policies", "lower limits.policies"};
  try {
    return std::unique_ptr<Classifier>(new Classifier(rules, workers, memory, barrier));
  } catch (const std::bad_alloc&) {
    return Error{"not enough memory for " + std::to_string(rules) + " policies",
                 "provide more huge pages or lower limits.policies"};
  }
}

std::size_t Classifier::memory_bytes(std::uint32_t rules, unsigned workers) {
  const std::size_t slots = slots_for(rules);
  return slots * (sizeof(Rule) + sizeof(net::FlowRanges) + workers * sizeof(std::uint64_t) +
                  sa::SaTable::bytes_an_entry) +
         2 * most_tuples * sizeof(Tuple);
}

Classifier::Place Classifier::place_of(const net::TrafficSelector& selector) {
  const auto local = selector.local.cover();
  const auto remote = selector.remote.cover();
  Place place{{selector.family(), local.length, remote.length, selector.protocol.has_value(),
               selector.local_ports.is_single(), selector.remote_ports.is_single()},
              flow_between(local.address, remote.address)};
  place.key.set_upper(selector.protocol.value_or(0), selector.local_ports.first, selector.remote_ports.first);
  return place;
}

Expected<std::uint32_t> Classifier::add(const net::TrafficSelector& selector, std::uint64_t order,
                                        Decision decision) {
  if (size_ >= limit_)
    return Error::shortage(
        "no room for policy " + net::to_string(selector) + ": " + std::to_string(limit_) + " are in use",
        "raise limits.policies");
  const bool marked = is_found_by_port(place_of(selector).shape);
  if (marked)
    if (auto done = mark(selector, order); !done) return done.error();
  const auto rule = link(selector, order, decision);
  if (!rule && marked) unmark(selector, order);
  if (rule) ++size_;
  return rule;
}

void Classifier::set(std::uint32_t rule, Decision decision) {
  rules_[rule].decision.store(decision.value, std::memory_order_release);
}

void Classifier::remove(std::uint32_t rule) {
  const auto selector = selectors_[rule];
  const auto order = rules_[rule].order;
  unlink(rule);
  if (is_found_by_port(place_of(selector).shape)) unmark(selector, order);
  --size_;
}

void Classifier::stand_in(std::span<const StandIn> refused) {
  const auto* in_force = refused_.load(std::memory_order_relaxed);
  if (refused.empty()) {
    refused_.store(nullptr, std::memory_order_release);
    return;
  }
  barrier_();  // nobody reads the list any more that was in force before this one
  auto& next = refused_lists_[in_force == &refused_lists_[0] ? 1 : 0];
  next.count = std::min(refused.size(), next.rules.size());
  for (std::size_t i = 0; i < next.count; ++i) {
    const auto& [selector, order, decision] = refused[i];
    next.rules[i] = {order, net::FlowRanges::of(selector.local, selector.remote), selector.family(),
                     decision};
  }
  refused_.store(&next, std::memory_order_release);
}

std::uint64_t Classifier::hits(std::uint32_t rule) const {
  std::uint64_t total = 0;
  for (unsigned worker = 0; worker < workers_; ++worker)
    total += hits_[std::size_t{worker} * row_ + rule].load(std::memory_order_relaxed);
  return total;
}

// The shape's tuple, which is new when nothing like it was there before.
Expected<std::uint16_t> Classifier::tuple_of(const Shape& shape) {
  if (const auto found = tuple_by_shape_.find(shape); found != tuple_by_shape_.end()) return found->second;
  auto& pool = tuple_pools_[which(shape.family)];
  if (pool.available() == 0) forget_empty_tuples(shape.family);
  const auto taken = pool.take();
  if (!taken)
    return Error::shortage("policies of more than " + std::to_string(most_tuples) +
                               " combinations of prefix lengths, protocol and ports",
                           "use fewer different prefix lengths");
  const auto number = static_cast<std::uint16_t>(*taken);
  auto& tuple = tuples_[number];
  const unsigned local = shape.local_bits, remote = shape.remote_bits;
  if (shape.family == net::Family::v4) {
    tuple.masks[0] = (leading(local) & ~std::uint64_t{0xffff'ffff}) | leading(remote) >> 32;
  } else {
    tuple.masks[0] = leading(std::min(local, 64U));
    tuple.masks[1] = leading(local - std::min(local, 64U));
    tuple.masks[2] = leading(std::min(remote, 64U));
    tuple.masks[3] = leading(remote - std::min(remote, 64U));
  }
  tuple.upper_mask = (shape.protocol ? std::uint64_t{0xff} << 32 : 0) |
                     (shape.local_port ? std::uint64_t{0xffff} << 16 : 0) |
                     (shape.remote_port ? std::uint64_t{0xffff} : 0);
  tuple.seed = (number + 1U) * 0x9e37'79b1U;
  tuple.best.store(never, std::memory_order_relaxed);
  tuple_by_shape_.emplace(shape, number);
  auto& used = tuples_used_[which(shape.family)];
  const auto end = static_cast<std::uint16_t>(number - first_tuple(shape.family) + 1);
  if (end > used.load(std::memory_order_relaxed)) used.store(end, std::memory_order_release);
  return number;
}

void Classifier::forget_empty_tuples(net::Family family) {
  std::erase_if(tuple_by_shape_, [&](const auto& entry) {
    const auto& [shape, number] = entry;
    if (shape.family != family || !tuple_orders_[number].empty()) return false;
    tuple_pools_[which(family)].retire(number);
    return true;
  });
}

std::uint32_t Classifier::key_of_rule(const Rule& rule) const {
  const auto& tuple = tuples_[rule.tuple];
  const auto family = rule.tuple < first_tuple(net::Family::v6) ? net::Family::v4 : net::Family::v6;
  net::Flow key{};
  key.set_upper(rule.protocol, rule.local_ports.first, rule.remote_ports.first);
  return key_of(family, tuple, rule.addresses, key.upper);
}

unsigned Classifier::chain_length(std::uint32_t key) const {
  unsigned length = 0;
  for (auto rule = table_.find(key); rule != no_rule;
       rule = rules_[rule].next.load(std::memory_order_relaxed))
    ++length;
  return length;
}

void Classifier::fill(std::uint32_t index, const net::TrafficSelector& selector, const net::Flow& key,
                      std::uint16_t tuple) {
  auto& rule = rules_[index];
  for (std::size_t i = 0; i < 4; ++i) rule.addresses[i] = key.addresses[i] & tuples_[tuple].masks[i];
  rule.local_ports = selector.local_ports;
  rule.remote_ports = selector.remote_ports;
  rule.next.store(no_rule, std::memory_order_relaxed);
  rule.tuple = tuple;
  rule.protocol = selector.protocol.value_or(0);
  rule.any_protocol = !selector.protocol;
  rule.needs_ports = selector.needs_ports();
  rule.has_ranges = !selector.local.is_prefix() || !selector.remote.is_prefix();
  if (rule.has_ranges) ranges_[index] = net::FlowRanges::of(selector.local, selector.remote);
  for (unsigned worker = 0; worker < workers_; ++worker)
    hits_[std::size_t{worker} * row_ + index].store(0, std::memory_order_relaxed);
  selectors_[index] = selector;
}

// Publishes a rule or a marker. A new one stands behind the first of its key: readers look at all of them.
Expected<std::uint32_t> Classifier::link(const net::TrafficSelector& selector, std::uint64_t order,
                                         Decision decision) {
  const auto place = place_of(selector);
  const auto tuple = tuple_of(place.shape);
  if (!tuple) return tuple.error();
  const auto key = key_of(place.shape.family, tuples_[*tuple], place.key.addresses, place.key.upper);
  const bool is_marker = selector.local_ports == no_ports;
  if (!is_marker && chain_length(key) >= most_in_chain)
    return Error::shortage("more than " + std::to_string(most_in_chain) + " policies such as " +
                               net::to_string(selector) + ", which differ in ranges only",
                           "combine ranges, or give single ports or prefixes of different lengths");
  const auto index = rule_pool_.take();
  if (!index)
    return Error::shortage("no room for policy " + net::to_string(selector), "raise limits.policies");
  auto& rule = rules_[*index];
  fill(*index, selector, place.key, *tuple);
  rule.order = order;
  rule.decision.store(decision.value, std::memory_order_relaxed);

  // Before the rule can be found, its tuple and its protocol are looked for.
  auto& orders = tuple_orders_[*tuple];
  orders.insert(order);
  tuples_[*tuple].best.store(*orders.begin(), std::memory_order_release);
  note_protocol(rule, true);
  const auto head = table_.find(key);
  if (head == no_rule) {
    if (table_.insert(key, *index) == sa::SaTable::Insert::inserted) return *index;
    unlink(*index);
    return Error::shortage("no room for policy " + net::to_string(selector) + " in the table",
                           "raise limits.policies");
  }
  rule.next.store(rules_[head].next.load(std::memory_order_relaxed), std::memory_order_relaxed);
  rules_[head].next.store(*index, std::memory_order_release);
  return *index;
}

// A reader that is at this rule still finds its way on: `next` stays as it is until the rule is used again.
void Classifier::unlink(std::uint32_t index) {
  const auto& rule = rules_[index];
  const auto key = key_of_rule(rule);
  const auto next = rule.next.load(std::memory_order_relaxed);
  auto before = table_.find(key);
  if (before == index && next == no_rule) {
    table_.erase(key);
  } else if (before == index) {
    table_.replace(key, next);
  } else {
    while (before != no_rule && rules_[before].next.load(std::memory_order_relaxed) != index)
      before = rules_[before].next.load(std::memory_order_relaxed);
    if (before != no_rule) rules_[before].next.store(next, std::memory_order_release);
  }
  auto& orders = tuple_orders_[rule.tuple];
  orders.erase(orders.find(rule.order));
  tuples_[rule.tuple].best.store(orders.empty() ? never : *orders.begin(), std::memory_order_release);
  note_protocol(rule, false);
  rule_pool_.retire(index);
}

void Classifier::note_protocol(const Rule& rule, bool added) {
  if (rule.any_protocol || rule.tuple < first_tuple(net::Family::v6)) return;
  auto& orders = orders_with_protocol_;
  if (added)
    orders.insert(rule.order);
  else
    orders.erase(orders.find(rule.order));
  first_with_protocol_.store(orders.empty() ? never : *orders.begin(), std::memory_order_release);
}

Expected<void> Classifier::mark(const net::TrafficSelector& selector, std::uint64_t order) {
  const auto marker = marker_for(selector);
  const auto found = markers_.find(marker);
  if (found == markers_.end() || order < *found->second.orders.begin()) {
    const auto rule = link(marker, order, Decision::ports_unknown());
    if (!rule) return rule.error();
    if (found == markers_.end()) {
      markers_.emplace(marker, Marker{*rule, {order}});
      return {};
    }
    unlink(std::exchange(found->second.rule, *rule));
  }
  found->second.orders.insert(order);
  return {};
}

void Classifier::unmark(const net::TrafficSelector& selector, std::uint64_t order) {
  const auto found = markers_.find(marker_for(selector));
  auto& [rule, orders] = found->second;
  orders.erase(orders.find(order));
  if (orders.empty()) {
    unlink(rule);
    markers_.erase(found);
  } else if (*orders.begin() > rules_[rule].order) {
    // Without room for another the old one stays, which comes too early and so drops rather than lets pass.
    if (const auto later = link(found->first, *orders.begin(), Decision::ports_unknown()))
      unlink(std::exchange(rule, *later));
  }
}

}  // namespace espgate::policy
