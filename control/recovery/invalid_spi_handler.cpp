#include "control/recovery/invalid_spi_handler.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/recovery/log_line.hpp"

namespace espgate::recovery {
namespace {

// Between repairs: what keeps an SPI of ours from being repaired may be over any moment, and hardly anybody
// else knows it.
constexpr std::chrono::seconds longest_wait_of_known(8), longest_wait_of_guess(64);

std::array<std::uint64_t, 2> make_secret(const sa::RandomSource& random) {
  std::array<std::uint64_t, 2> secret{};
  for (auto& word : secret) {
    word = random();
    word = word << 32 | random();
  }
  return secret;
}

// Of a connection with peers at any address ("site") it is the one that is there now ("site#7").
std::string_view owner(const sa::SpiFacts& facts, const sa::SpiKnowledge& knowledge,
                       const net::Address& source) {
  const auto of_peer = knowledge.connection_of_peer(source);
  const bool is_one_of_many = of_peer.substr(0, of_peer.find('#')) == facts.connection;
  return facts.connection.empty() || is_one_of_many ? of_peer : facts.connection;
}

// An SPI in use is seen on the way, and its packets are then made up as easily as those of unknown ones.
bool is_made_up_easily(sa::Miss miss, const sa::SpiFacts& facts) {
  return facts.standing == sa::SpiFacts::Standing::unknown || miss == sa::Miss::mismatch;
}

}  // namespace

InvalidSpiHandler::InvalidSpiHandler(const Options& options, const sa::SpiKnowledge& knowledge,
                                     Repairer& repairer, sa::Log log, const sa::RandomSource& random,
                                     Witness* witness)
    : options_(options),
      knowledge_(knowledge),
      log_(std::move(log)),
      table_(options.flows, make_secret(random)),
      known_lines_(options.lines_per_s),
      other_lines_(options.lines_per_s),
      known_spis_((options.repairs_per_s + 1) / 2, options.repaired_peers, longest_wait_of_known),
      guesses_((options.repairs_per_s + 1) / 2, options.repaired_peers, longest_wait_of_guess),
      flood_(options.flood_flows_per_s),
      repairer_(repairer),
      witness_(witness) {}

void InvalidSpiHandler::handle(const sa::SpiMiss& miss, std::string_view port, Moment now) {
  tick(now);
  const FlowKey key{net::Address::from_bytes(miss.family, miss.source),
                    net::Address::from_bytes(miss.family, miss.destination), miss.spi, miss.encapsulation};
  auto facts = knowledge_.about(miss.spi);
  const auto of_peer = knowledge_.connection_of_peer(key.source);

  const bool known = !is_made_up_easily(miss.miss, facts);
  auto& flow = table_.touch(key, known ? Sort::known : Sort::any);
  if (flow.packets++ == 0) begin(flow, miss.miss, facts, now);
  flow.recent.add(now.steady);
  flow.last = now;
  flow.last_sequence = miss.sequence;
  flow.source_port = miss.source_port;
  const bool other_destination = facts.ends && facts.ends->local != key.destination;
  flow.kind = classify({miss.miss, facts.standing, facts.reason, !of_peer.empty(),
                        flow.of_flood && flood_.is_on(), other_destination});
  flow.port = {};
  port.copy(flow.port.data(), flow.port.size() - 1);
  ++packets_[static_cast<std::size_t>(flow.kind)];
  if (flow.kind == Class::flood) table_.make_next_to_go(key);
  if (is_trouble(flow, facts, now)) {
    repair(flow, miss, facts, of_peer, now);
    facts = knowledge_.about(miss.spi);  // what it names may have changed
  }

  if (flow.evidence != 0) witness_->flow_went_on(flow, miss, now);
  const bool due = !flow.was_logged || now.steady - flow.logged.steady >= options_.line_interval;
  if (!due || is_normal(flow, facts, now) || !(known ? known_lines_ : other_lines_).take(now.steady)) {
    ++flow.suppressed;
    return;
  }
  speak(flow, facts, miss, now);
}

void InvalidSpiHandler::begin(Flow& flow, sa::Miss miss, const sa::SpiFacts& facts, Moment now) {
  flow.first = now;
  if (!is_made_up_easily(miss, facts)) return;
  const bool was_on = flood_.is_on();
  flow.of_flood = flood_.note_new(now.steady);
  if (was_on || !flow.of_flood) return;
  log_(
      sa::Severity::warning,
      fmt::format("invalid SPI: a flood: more than {} new flows a second, the last from {}; they are counted "
                  "and dropped, without a line each, and nothing is done about them until it is over",
                  options_.flood_flows_per_s, net::to_string(flow.key.source)));
  if (witness_ != nullptr) witness_->flood_began(flow.key.source, options_.flood_flows_per_s, now);
}

void InvalidSpiHandler::tick(Moment now) {
  if (const auto over = flood_.tick(now.steady)) {
    log_(sa::Severity::warning,
         fmt::format(
             "invalid SPI: the flood is over after {:.1f} s and {} flows; `show drops` has its packets",
             std::chrono::duration<double>(over->lasted).count(), over->flows));
    if (witness_ != nullptr) witness_->flood_ended(*over, now);
  }
  const auto withheld = known_lines_.settle(now.steady) + other_lines_.settle(now.steady);
  if (withheld == 0) return;
  log_(sa::Severity::warning,
       fmt::format("invalid SPI: {} more line{} withheld (at most {} a second are written); "
                   "`show invalid-spi` has the flows",
                   withheld, withheld == 1 ? "" : "s", options_.lines_per_s));
}

bool InvalidSpiHandler::is_normal(const Flow& flow, const sa::SpiFacts& facts, Moment now) const {
  const auto age = now.steady - facts.since.steady;
  if (flow.kind == Class::larval) return age < options_.larval_quiet;
  if (flow.kind == Class::just_rekeyed) return age < options_.in_flight;
  return flow.kind == Class::flood;
}

// What was sent before the peer heard of anything may still come for a moment.
bool InvalidSpiHandler::is_trouble(const Flow& flow, const sa::SpiFacts& facts, Moment now) const {
  switch (flow.kind) {
    case Class::larval:
    case Class::peer_moved:
    case Class::wrong_destination:
    case Class::stranger:
    case Class::flood:
      return false;
    case Class::just_rekeyed:
    case Class::deleted:
    case Class::expired:
      return now.steady - facts.since.steady >= options_.in_flight;
    case Class::before_restart:
    case Class::never_issued:
      return true;
  }
  return false;
}

// An SPI that we know has two waits: one of its peer, and one of all others together.
void InvalidSpiHandler::repair(Flow& flow, const sa::SpiMiss& miss, const sa::SpiFacts& facts,
                               std::string_view of_peer, Moment now) {
  const bool is_guess = flow.kind == Class::never_issued;
  const auto connection = facts.connection.empty() ? of_peer : facts.connection;
  const auto& source = flow.key.source;
  const bool is_peers = facts.peer ? *facts.peer == source : of_peer == facts.connection;
  const auto what = is_guess ? net::to_string(source)
                             : fmt::format("SPI {:x}{}", flow.key.spi, is_peers ? "" : " from elsewhere");
  auto& budget = is_guess ? guesses_ : known_spis_;
  Repair done;
  if (budget.may_try(what, now.steady)) {
    done = repairer_.repair(connection, miss, now);
    budget.note(what, done, now.steady);
  } else {
    done = budget.refusal(what);
  }
  ++repairs_[static_cast<std::size_t>(done)];
  // What was done a moment ago tells more than that it is too early for more.
  if (done != Repair::limited || flow.repair == Repair::none) flow.repair = done;
}

void InvalidSpiHandler::speak(Flow& flow, const sa::SpiFacts& facts, const sa::SpiMiss& miss, Moment now) {
  const auto connection = owner(facts, knowledge_, flow.key.source);
  log_(sa::Severity::warning, log_line(flow, connection, facts));
  if (!flow.was_logged && witness_ != nullptr)
    flow.evidence = witness_->flow_began(flow, connection, miss, now);
  flow.logged = now;
  flow.was_logged = true;
  flow.suppressed = 0;
}

std::string InvalidSpiHandler::owner_of(const Flow& flow) const {
  return std::string(owner(knowledge_.about(flow.key.spi), knowledge_, flow.key.source));
}

}  // namespace espgate::recovery
