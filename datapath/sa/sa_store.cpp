#include "datapath/sa/sa_store.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>
#include <numeric>

#include "datapath/net/headers.hpp"
#include "datapath/sa/outer_headers.hpp"
#include "datapath/sa/peer_address.hpp"

namespace espgate::sa {
namespace {

constexpr std::uint32_t slab_cells = 64;  // replay_cells(1024)
constexpr std::size_t line_bytes = 64;

// Slots an odd number of lines apart spread a line that is hot in each of them over all sets of a cache;
// with a power of two, 50,000 of them would fight for a few.
constexpr std::size_t odd_lines(std::size_t bytes) {
  return ((bytes + line_bytes - 1) / line_bytes | 1) * line_bytes;
}

// As an owner, of an SA that has none: no counter comes so far.
constexpr std::uint64_t nobody_elses = std::uint64_t{1} << 63;

// What the IPsec-MB engine's largest key schedule takes.
constexpr std::size_t usual_key_bytes = 1'088;

std::size_t key_slot_bytes(const crypto::Engine& engine) {
  std::size_t largest = 0;
  for (const auto& suite : crypto::suites()) largest = std::max(largest, engine.prepared_key_bytes(suite.id));
  return odd_lines(largest);
}

std::size_t usage_row(std::uint32_t sas) {
  constexpr std::size_t a_line = line_bytes / sizeof(Usage);
  return (sas + a_line - 1) / a_line * a_line;
}

std::vector<std::uint32_t> all_free(std::uint32_t count) {
  std::vector<std::uint32_t> indices(count);
  std::iota(indices.rbegin(), indices.rend(), 0u);
  return indices;
}

bool take_everything(std::span<const net::TrafficSelector> selectors) {
  const auto takes_all = [&](net::Family family) {
    const auto everything = net::AddressRange::everything(family);
    return std::ranges::find(selectors, net::TrafficSelector{everything, everything, {}, {}, {}}) !=
           selectors.end();
  };
  return takes_all(net::Family::v4) && takes_all(net::Family::v6);
}

// What both directions' entries hold of the parameters, under the same names.
template <typename Sa>
void fill_common(Sa& entry, const SaParameters& parameters, crypto::PreparedKey key) {
  entry.spi = parameters.spi;
  entry.suite = parameters.suite;
  entry.encapsulation = parameters.encapsulation;
  entry.outer_family = parameters.local.family;
  entry.mode = parameters.mode;
  entry.track_peer = parameters.encapsulation == Encapsulation::udp && parameters.track_peer;
  entry.limited = parameters.lifetime.limits_anything();
  const auto& suite = crypto::suite(parameters.suite);
  std::memcpy(entry.salt + sizeof entry.salt - suite.salt_bytes, parameters.keymat.data() + suite.key_bytes,
              suite.salt_bytes);
  entry.extended_sequence = parameters.extended_sequence;
  entry.key = key;
}

// An expired SA stays so: what comes for it is dropped as expired.
void retire(std::atomic<State>& state) {
  auto seen = state.load(std::memory_order_relaxed);
  while (seen != State::expired &&
         !state.compare_exchange_weak(seen, State::retired, std::memory_order_release)) {
  }
}

}  // namespace

bool expire(std::atomic<State>& state) {
  auto active = State::active;
  return state.compare_exchange_strong(active, State::expired, std::memory_order_release,
                                       std::memory_order_relaxed);
}

Expected<std::unique_ptr<SaStore>> SaStore::create(const Limits& limits, crypto::Engine& engine,
                                                   std::pmr::memory_resource& memory) {
  if (limits.workers == 0) return Error{"an SA store for no worker", "name at least one worker CPU"};
  if (limits.inbound >= SaTable::most_entries)
    return Error{"an SA table for " + std::to_string(limits.inbound) + " inbound SAs",
                 "keep limits.inbound-sas and limits.tombstones together below " +
                     std::to_string(SaTable::most_entries)};
  net::SipKey label_secret;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(label_secret.data()), sizeof label_secret) != 1)
    return Error{"no random numbers", "restart espgated; see that the kernel has getrandom"};
  try {
    return std::unique_ptr<SaStore>(new SaStore(limits, engine, memory, label_secret));
  } catch (const std::bad_alloc&) {
    return Error{"not enough memory for " + std::to_string(limits.inbound) + " inbound and " +
                     std::to_string(limits.outbound) + " outbound SAs",
                 "provide more huge pages or lower limits.inbound-sas and limits.outbound-sas"};
  }
}

std::size_t SaStore::memory_bytes(const Limits& limits) {
  const std::size_t inbound = sizeof(InboundSa) + sizeof(InboundFaults) + sizeof(Allowance) +
                              sizeof(std::uint64_t) + limits.workers * sizeof(Usage) + usual_key_bytes +
                              odd_lines(slab_cells * sizeof(ReplayCell)) + SaTable::bytes_an_entry;
  const std::size_t outbound = sizeof(OutboundSa) + sizeof(OutboundFaults) + sizeof(Allowance) +
                               sizeof(std::uint64_t) + limits.workers * sizeof(Usage) + usual_key_bytes;
  return limits.inbound * inbound + limits.outbound * outbound;
}

SaStore::SaStore(const Limits& limits, crypto::Engine& engine, std::pmr::memory_resource& memory,
                 const net::SipKey& label_secret)
    : limits_(limits),
      earlier_(limits.inbound),
      engine_(engine),
      memory_(memory),
      table_(std::max(limits.inbound, 1u), memory),
      inbound_(memory, limits.inbound + 1),
      outbound_(memory, limits.outbound),
      inbound_faults_(memory, limits.inbound + 1),
      outbound_faults_(memory, limits.outbound),
      inbound_allowances_(memory, limits.inbound),
      outbound_allowances_(memory, limits.outbound),
      inbound_owners_(memory, limits.inbound),
      outbound_owners_(memory, limits.outbound),
      inbound_row_(usage_row(limits.inbound)),
      outbound_row_(usage_row(limits.outbound)),
      inbound_usage_(memory, inbound_row_ * limits.workers),
      outbound_usage_(memory, outbound_row_ * limits.workers),
      inbound_keys_(memory, limits.inbound, key_slot_bytes(engine)),
      outbound_keys_(memory, limits.outbound, key_slot_bytes(engine)),
      cells_(memory, limits.inbound, odd_lines(slab_cells * sizeof(ReplayCell))),
      inbound_stage_(limits.inbound, Stage::free),
      outbound_stage_(limits.outbound, Stage::free),
      free_inbound_(all_free(limits.inbound)),
      free_outbound_(all_free(limits.outbound)),
      iv_bases_(outbound_, limits.outbound),
      label_secret_(label_secret) {
  inbound_[earlier_].state.store(State::retired, std::memory_order_relaxed);
}

SaStore::~SaStore() {
  for (std::uint32_t index = 0; index < limits_.inbound; ++index) {
    if (inbound_stage_[index] == Stage::free) continue;
    inbound_stage_[index] = Stage::unpublished;
    release_inbound(index);
  }
  for (std::uint32_t index = 0; index < limits_.outbound; ++index)
    if (outbound_stage_[index] != Stage::free) release_outbound(index);
}

Expected<std::uint32_t> SaStore::reserve_inbound(std::uint32_t spi) {
  if (auto result = validate_spi(spi); !result) return result.error();
  const bool was_earlier = is_earlier(spi);
  if (find(spi) != no_sa) return Error{"SPI " + spi_text(spi) + " is in use", "choose another"};
  if (free_inbound_.empty())
    return Error::shortage("all " + std::to_string(limits_.inbound) + " inbound SAs are in use",
                           "raise limits.inbound-sas");
  const std::uint32_t index = free_inbound_.back();
  InboundSa& entry = inbound_[index];
  entry.spi = spi;
  entry.state.store(State::larval, std::memory_order_relaxed);
  zero_usage(inbound_usage_, inbound_row_, index);
  inbound_faults_.reset(index);
  if (was_earlier ? !table_.replace(spi, index) : table_.insert(spi, index) != SaTable::Insert::inserted)
    return Error::shortage("no room for SPI " + spi_text(spi) + " in the SA table",
                           "raise limits.inbound-sas");
  free_inbound_.pop_back();
  inbound_stage_[index] = Stage::published;
  return index;
}

Expected<void> SaStore::install_inbound(std::uint32_t index, const SaParameters& parameters,
                                        std::uint64_t owner) {
  assert(inbound_stage_[index] == Stage::published);
  InboundSa& entry = inbound_[index];
  if (entry.state.load(std::memory_order_relaxed) != State::larval)
    return Error{"SPI " + spi_text(entry.spi) + " already has a key or is retired", "reserve another SPI"};
  if (parameters.spi != entry.spi)
    return Error{"parameters of SPI " + spi_text(parameters.spi) + " for the entry of " + spi_text(entry.spi),
                 ""};
  if (auto result = validate_inbound(parameters); !result) return result;
  std::byte* key = inbound_keys_.at(index);
  if (auto result = prepare_key(parameters, key); !result) return result;
  try {
    take_window(entry, index, parameters);
    take_selectors(entry, parameters.selectors);
  } catch (const std::bad_alloc&) {
    give_back(entry, index);
    OPENSSL_cleanse(key, inbound_keys_.stride());
    return Error::shortage("no memory for the replay window and selectors of SPI " + spi_text(parameters.spi),
                           "provide more huge pages or configure a smaller replay-window");
  }
  fill_common(entry, parameters, key);
  begin_lifetime(inbound_allowances_[index], parameters);
  inbound_owners_[index] = owner != 0 ? owner : nobody_elses | index;
  entry.any_encapsulation = parameters.any_encapsulation;
  entry.remote_port = parameters.remote_port;
  std::ranges::copy(parameters.remote.bytes, entry.source);
  std::ranges::copy(parameters.local.bytes, entry.destination);
  entry.state.store(State::active, std::memory_order_release);
  return {};
}

void SaStore::retire_inbound(std::uint32_t index) {
  assert(inbound_stage_[index] == Stage::published);
  retire(inbound_[index].state);
}

void SaStore::unpublish_inbound(std::uint32_t index) {
  assert(inbound_stage_[index] == Stage::published);
  table_.erase(inbound_[index].spi);
  inbound_stage_[index] = Stage::unpublished;
}

void SaStore::release_inbound(std::uint32_t index) {
  assert(inbound_stage_[index] == Stage::unpublished);
  InboundSa& entry = inbound_[index];
  if (entry.key) OPENSSL_cleanse(inbound_keys_.at(index), inbound_keys_.stride());
  OPENSSL_cleanse(entry.salt, sizeof entry.salt);
  give_back(entry, index);
  inbound_.reset(index);
  inbound_stage_[index] = Stage::free;
  free_inbound_.push_back(index);
}

bool SaStore::publish_earlier(std::uint32_t spi) {
  return validate_spi(spi) && has_spi_room() && table_.insert(spi, earlier_) == SaTable::Insert::inserted;
}

void SaStore::unpublish_earlier(std::uint32_t spi) {
  if (is_earlier(spi)) table_.erase(spi);
}

Expected<std::uint32_t> SaStore::install_outbound(const SaParameters& parameters, std::uint64_t owner) {
  if (auto result = validate_outbound(parameters); !result) return result.error();
  if (free_outbound_.empty())
    return Error::shortage("all " + std::to_string(limits_.outbound) + " outbound SAs are in use",
                           "raise limits.outbound-sas");
  const std::uint32_t index = free_outbound_.back();
  std::byte* key = outbound_keys_.at(index);
  if (auto result = prepare_key(parameters, key); !result) return result.error();
  OutboundSa& entry = outbound_[index];
  try {
    entry.selectors = take_everything(parameters.selectors) ? nullptr : keep(parameters.selectors);
  } catch (const std::bad_alloc&) {
    OPENSSL_cleanse(key, outbound_keys_.stride());
    return Error::shortage("no memory for the selectors of SPI " + spi_text(parameters.spi),
                           "provide more huge pages");
  }
  free_outbound_.pop_back();
  outbound_stage_[index] = Stage::published;
  fill_common(entry, parameters, key);
  begin_lifetime(outbound_allowances_[index], parameters);
  outbound_owners_[index] = owner != 0 ? owner : nobody_elses | index;
  entry.sequence.store(parameters.sequence, std::memory_order_relaxed);
  entry.sequence_limit.store(last_sequence(parameters.extended_sequence), std::memory_order_relaxed);
  entry.iv_base = iv_bases_.take(index, parameters.keymat) - parameters.sequence;
  entry.headers_bytes = write_outer_headers(parameters, entry.headers);
  entry.path_mtu.store(path_mtu_unknown, std::memory_order_relaxed);
  entry.tfc_bytes = parameters.mode == Mode::tunnel ? parameters.tfc_bytes : std::uint16_t{0};
  entry.traffic_class_mask = copied_traffic_class(parameters.outer);
  entry.outer = {.copy_df = parameters.outer.df == DfPolicy::copy, .flow_label = parameters.outer.flow_label};
  zero_usage(outbound_usage_, outbound_row_, index);
  outbound_faults_.reset(index);
  entry.state.store(State::active, std::memory_order_release);
  return index;
}

void SaStore::retire_outbound(std::uint32_t index) {
  assert(outbound_stage_[index] == Stage::published);
  retire(outbound_[index].state);
}

void SaStore::release_outbound(std::uint32_t index) {
  assert(outbound_stage_[index] == Stage::published);
  OPENSSL_cleanse(outbound_keys_.at(index), outbound_keys_.stride());
  OPENSSL_cleanse(outbound_[index].salt, sizeof outbound_[index].salt);
  give_back(outbound_[index].selectors);
  iv_bases_.forget(index);
  outbound_.reset(index);
  outbound_stage_[index] = Stage::free;
  free_outbound_.push_back(index);
}

void SaStore::move_peer(std::uint32_t inbound, std::uint32_t outbound, const net::Address& peer,
                        std::uint16_t port) {
  const bool v4 = peer.family == net::Family::v4;
  const std::size_t bytes = v4 ? 4 : 16;
  if (inbound != no_sa) {
    store_shared(inbound_[inbound].source, peer.bytes.data(), bytes);
    __atomic_store_n(&inbound_[inbound].remote_port, port, __ATOMIC_RELAXED);
  }
  if (outbound == no_sa || outbound_[outbound].encapsulation != Encapsulation::udp) return;
  auto* headers = outbound_[outbound].headers;
  const std::size_t ip_bytes = v4 ? net::ipv4_header_bytes : net::ipv6_header_bytes;
  store_shared(headers + ip_bytes - bytes, peer.bytes.data(), bytes);
  std::uint8_t ports[4];
  std::memcpy(ports, headers + ip_bytes, sizeof ports);
  net::store_be16(ports, 2, port);
  store_shared(headers + ip_bytes, ports, sizeof ports);
}

SaStore::Total SaStore::inbound_total(std::uint32_t index) const {
  return total(inbound_usage_, inbound_row_, index);
}

SaStore::Total SaStore::outbound_total(std::uint32_t index) const {
  return total(outbound_usage_, outbound_row_, index);
}

Expected<void> SaStore::prepare_key(const SaParameters& parameters, std::byte* slot) {
  return engine_.prepare_key(parameters.suite, parameters.keymat, slot);
}

// Windows up to the usual size live in the slab; the few larger ones are taken as they come.
void SaStore::take_window(InboundSa& entry, std::uint32_t index, const SaParameters& parameters) {
  const auto window_packets = parameters.window_packets;
  entry.window_packets = window_packets;
  entry.top.store(parameters.sequence, std::memory_order_relaxed);
  if (window_packets == 0) return;
  const std::uint32_t count = replay_cells(window_packets);
  void* cells =
      count <= slab_cells ? cells_.at(index) : memory_.allocate(count * sizeof(ReplayCell), line_bytes);
  entry.cells = static_cast<ReplayCell*>(cells);
  entry.cell_mask = count - 1;
  std::uninitialized_value_construct_n(entry.cells, count);
}

void SaStore::give_back(InboundSa& entry, std::uint32_t index) {
  if (entry.cells && static_cast<void*>(entry.cells) != cells_.at(index))
    memory_.deallocate(entry.cells, (std::size_t{entry.cell_mask} + 1) * sizeof(ReplayCell), line_bytes);
  give_back(entry.more);
  entry.cells = nullptr;
  entry.more = nullptr;
}

void SaStore::begin_lifetime(Allowance& allowance, const SaParameters& parameters) const {
  const auto& lifetime = parameters.lifetime;
  const auto limit = [](std::uint64_t configured) {
    return configured != 0 ? configured : Allowance::unlimited;
  };
  allowance.packets.store(parameters.used.packets, std::memory_order_relaxed);
  allowance.bytes.store(parameters.used.bytes, std::memory_order_relaxed);
  allowance.stage_told.store(LifetimeStage::running, std::memory_order_relaxed);
  allowance.soft_packets = limit(lifetime.soft_packets);
  allowance.hard_packets = limit(lifetime.hard_packets);
  allowance.soft_bytes = limit(lifetime.soft_bytes);
  allowance.hard_bytes = limit(lifetime.hard_bytes);
  allowance.hard_tsc = Allowance::unlimited;
  if (lifetime.hard_seconds == 0 || limits_.tsc_hz == 0) return;
  const auto left_s = lifetime.hard_seconds - std::min(lifetime.hard_seconds, parameters.used.seconds);
  allowance.hard_tsc = __builtin_ia32_rdtsc() + left_s * limits_.tsc_hz;
}

void SaStore::zero_usage(const FixedArray<Usage>& usage, std::size_t row, std::uint32_t index) const {
  for (unsigned worker = 0; worker < limits_.workers; ++worker) {
    usage[worker * row + index].packets.store(0, std::memory_order_relaxed);
    usage[worker * row + index].bytes.store(0, std::memory_order_relaxed);
    usage[worker * row + index].last_tsc.store(0, std::memory_order_relaxed);
  }
}

SaStore::Total SaStore::total(const FixedArray<Usage>& usage, std::size_t row, std::uint32_t index) const {
  Total sum;
  for (unsigned worker = 0; worker < limits_.workers; ++worker) {
    sum.packets += usage[worker * row + index].packets.load(std::memory_order_relaxed);
    sum.bytes += usage[worker * row + index].bytes.load(std::memory_order_relaxed);
    sum.last_tsc =
        std::max(sum.last_tsc, usage[worker * row + index].last_tsc.load(std::memory_order_relaxed));
  }
  return sum;
}

}  // namespace espgate::sa
