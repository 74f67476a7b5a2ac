#include "control/ike/core.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace espgate::ike {

IkeCore::IkeCore(Parts parts, const Limits& limits)
    : parts_(std::move(parts)), limits_(limits), cookies_(parts_.random), half_open_(limits) {
  // A table that has to grow moves all that is in it, which takes milliseconds.
  by_spi_.reserve(limits.ike_sas);
  by_peer_.reserve(limits.ike_sas);
  deadlines_.reserve(limits.ike_sas);
  // Most have one child, and one more while that is replaced.
  children_.reserve(2 * limits.ike_sas);
  outbound_.reserve(limits.ike_sas);
}
IkeCore::~IkeCore() = default;

// Whatever their state, and those that have proved nothing yet.
void IkeCore::hand_over(const std::vector<Successor>& successors, Time now) {
  std::unordered_map<const Connection*, const Successor*> by_before;
  for (const auto& successor : successors) {
    by_before.emplace(successor.before.get(), &successor);
    if (const auto record = records_.find(successor.connection->name);
        record != records_.end() && record->second.connection == successor.before) {
      record->second.connection = successor.connection;
      std::erase_if(record->second.unwanted,
                    [&](const std::string& child) { return !successor.kept_children.contains(child); });
    }
  }
  if (by_before.empty()) return;
  for (auto& [id, entry] : sas_)
    if (const auto found = by_before.find(entry.sa->connection().get()); found != by_before.end()) {
      entry.sa->reconfigure(found->second->connection, found->second->kept_children, now);
      touched_.insert(id);
    }
}

Actions IkeCore::configure(const std::vector<ConnectionHandle>& connections, Time now,
                           const std::vector<Successor>& successors, const std::function<void()>& pause) {
  hand_over(successors, now);
  std::map<std::string, Record> before;
  before.swap(records_);
  peers_.clear();
  peers_.reserve(connections.size());
  any_peer_.clear();
  retries_.clear();
  for (const auto& connection : connections) {
    if (pause) pause();
    auto& record = records_[connection->name];
    const auto known = before.find(connection->name);
    if (known != before.end() && known->second.connection == connection) {
      record = std::move(known->second);
      before.erase(known);
      if (record.retry_at != never) retries_.emplace(record.retry_at, connection->name);
    } else {
      record.connection = connection;
      if (connection->start == StartAction::always) try_again(record, now);
    }
    if (connection->remote)
      peers_[*connection->remote].push_back(connection);
    else
      any_peer_.push_back(connection);
  }
  for (; !before.empty(); before.erase(before.begin())) {
    if (pause) pause();
    const auto& [name, record] = *before.begin();
    if (const auto ids = by_connection_.find(name); ids != by_connection_.end())
      for (const auto id : ids->second)
        if (auto* sa = find(id); sa->connection() == record.connection) sa->close(IkeSa::End::commanded);
  }
  settle_touched(now);
  return take_actions();
}

Actions IkeCore::stop(Time now) {
  is_stopping_ = true;
  return configure({}, now);
}

Actions IkeCore::handle(const Event& event, Time now) {
  std::visit([&](const auto& each) { on(each, now); }, event);
  settle_touched(now);
  return take_actions();
}

Time IkeCore::deadline() const {
  const bool may_begin = !retries_.empty() && beginning_.size() < limits_.beginning;
  return std::min(deadlines_.next(), may_begin ? retries_.begin()->first : never);
}

void IkeCore::on(const DatagramReceived& datagram, Time now) {
  Header header;
  if (const auto error = decode_header(datagram.bytes, header)) {
    // Only a later version is worth an answer (RFC 7296 2.5), and only to a request.
    if (error->notify == NotifyType::invalid_major_version && !header.is_response())
      refuse(header, datagram, error->notify, {});
    return;
  }
  const bool is_greeting = header.exchange == ExchangeType::ike_sa_init && !header.is_response();
  if (is_greeting) return on_greeting(header, datagram, now);
  // The SPI that is ours: the initiator's, in what the responder sends.
  const auto found = by_spi_.find(header.from_initiator() ? header.responder_spi : header.initiator_spi);
  if (found == by_spi_.end()) return on_stray(header, datagram, now);
  auto& sa = *find(found->second);
  // The peer's SPI is known unless this is the answer that brings it.
  const auto& spis = sa.spis();
  const bool fits = header.initiator_spi == spis.initiator &&
                    (header.responder_spi == spis.responder || spis.responder == 0);
  if (fits && header.from_initiator() != sa.is_initiator()) sa.receive(header, datagram, now);
}

// In turn one that begins and one that is there: after a start thousands begin.
void IkeCore::on(const TimerExpired&, Time now) {
  const auto id = deadlines_.due(now);
  const bool may_begin =
      beginning_.size() < limits_.beginning && !retries_.empty() && retries_.begin()->first <= now;
  if (may_begin && (id == 0 || std::exchange(begins_next_, false))) {
    auto& record = records_.at(retries_.begin()->second);
    retries_.erase(retries_.begin());
    record.retry_at = never;
    begin(record, now);
  } else if (id != 0) {
    begins_next_ = true;
    find(id)->timer(now);
  }
}

void IkeCore::on(const WorkFinished& event, Time now) {
  beginning_.erase(event.ticket.sa);
  if (auto* sa = find(event.ticket.sa)) sa->work_finished(event.ticket.number, event.done, now);
}

void IkeCore::on(const TrafficWaits& event, Time now) {
  const auto found = records_.find(event.connection);
  if (found == records_.end() || now < found->second.not_before || found->second.retry_at != never) return;
  const auto is_waiting = [&](const WantedChild& wanted) {
    return wanted.configuration->name == event.child;
  };
  for (const auto* sa : living(event.connection))
    if (std::ranges::any_of(sa->wanted(), is_waiting)) return;
  on(Initiate{event.connection, event.child}, now);
}

void IkeCore::on(const Initiate& event, Time now) {
  const auto found = records_.find(event.connection);
  if (found == records_.end()) return;
  auto& record = found->second;
  for (const auto& child : record.connection->children)
    if (event.child.empty() || child.name == event.child) {
      record.demanded.insert(child.name);
      record.unwanted.erase(child.name);
    }
  begin(record, now);
}

void IkeCore::on(const Terminate& event, Time now) {
  const auto found = records_.find(event.connection);
  if (found != records_.end() && event.child.empty()) {
    retries_.erase({found->second.retry_at, event.connection});
    found->second.retry_at = never;
    found->second.demanded.clear();
    found->second.forget_failures();
  } else if (found != records_.end() && !event.peer) {
    found->second.demanded.erase(event.child);
    found->second.unwanted.insert(event.child);
  }
  const auto all = those_of(event.connection, event.peer);
  for (auto* sa : all) event.child.empty() ? sa->terminate() : sa->terminate_child(event.child);
  for (auto* sa : all) sa->stop_sending(event.child, now);
}

void IkeCore::on(const Rekey& event, Time now) {
  for (auto* sa : living(event.connection, event.peer)) {
    if (event.child.empty())
      sa->rekey(now);
    else
      sa->rekey_child(event.child, now);
  }
}

void IkeCore::on(const TrafficArrived& event, Time now) {
  if (auto* sa = owner_of(event.inbound_spi)) sa->traffic_arrived(event.inbound_spi, now);
}
void IkeCore::on(const SoftExpired& event, Time now) {
  if (auto* sa = owner_of(event.inbound_spi)) sa->soft_expired(event.inbound_spi, now);
}
void IkeCore::on(const HardExpired& event, Time now) {
  if (auto* sa = owner_of(event.inbound_spi))
    sa->give_up_child(event.inbound_spi, "its lifetime is over", now);
}
void IkeCore::on(const SaDeleted& event, Time now) {
  if (auto* sa = owner_of(event.inbound_spi))
    sa->give_up_child(event.inbound_spi, "an operator deleted its SA (`sa delete`)", now);
}
void IkeCore::on(const InstallFailed& event, Time now) {
  if (auto* sa = owner_of(event.inbound_spi)) sa->install_failed(event, now);
}

// By an IKE SA that is there, or by a new one. The children are those demanded, or with `always` all that no
// operator terminated.
void IkeCore::begin(Record& record, Time now, const std::optional<Endpoint>& natt) {
  const auto& connection = record.connection;
  std::vector<ChildHandle> children;
  for (const auto& child : connection->children)
    if (record.demanded.contains(child.name) ||
        (connection->start == StartAction::always && !record.unwanted.contains(child.name)))
      children.emplace_back(connection, &child);
  const auto there = living(connection->name);
  if (!there.empty()) {
    // One without children may be about to go.
    const auto chosen = std::ranges::max_element(there, {}, [](IkeSa* sa) { return sa->children().size(); });
    for (const auto& child : children) (*chosen)->want_child(child, now);
    record.demanded.clear();
    return;
  }
  if (!connection->local || !connection->remote) {
    record.last_failure = {"its peers may be at any address, so only they can begin", IkeSa::State::greeting,
                           now};
    return;
  }
  if (sas_.size() >= limits_.ike_sas) {
    fail(record,
         {"there are as many IKE SAs as limits.ike-sas allows", IkeSa::State::greeting, now, false, true},
         {*connection->remote, 500});
    return try_again(record, now + retry_wait(*this, record.failures++));
  }
  retries_.erase({record.retry_at, connection->name});
  record.retry_at = never;
  begin_anew(connection, start_of(record), std::move(children), now, natt);
}

void IkeCore::try_again(Record& record, Time at) {
  retries_.erase({record.retry_at, record.connection->name});
  record.retry_at = at;
  retries_.emplace(at, record.connection->name);
}

void IkeCore::settle_touched(Time now) {
  while (!touched_.empty()) {
    const auto id = *touched_.begin();
    touched_.erase(touched_.begin());
    settle(id, now);
  }
}

void IkeCore::settle(SaId id, Time now) {
  const auto found = sas_.find(id);
  if (found == sas_.end()) return;
  auto& sa = *found->second.sa;
  go_back(sa, now);
  sa.proceed(now);
  if (sa.peer_identity()) half_open_.remove(id);
  if (sa.replaces() != 0 && sa.is_complete()) {
    if (auto* before = find(sa.replaces())) before->close(IkeSa::End::replaced);
    sa.replace(0);
  }
  if (sa.state() == IkeSa::State::gone && !std::exchange(found->second.end_seen, true)) ended(sa, now);
  if (sa.is_over(now)) return forget(id);
  deadlines_.set(id, sa.deadline());
}

void IkeCore::forget(SaId id) {
  const auto& sa = *sas_.at(id).sa;
  by_spi_.erase(sa.is_initiator() ? sa.spis().initiator : sa.spis().responder);
  deadlines_.set(id, never);
  half_open_.remove(id);
  by_peer_.remove(sa);
  sas_.erase(id);
}

IkeSa& IkeCore::create(Origin origin, Time now) {
  return adopt(std::make_unique<IkeSa>(static_cast<SaHost&>(*this), std::move(origin), now));
}

IkeSa& IkeCore::adopt(std::unique_ptr<IkeSa> made) {
  auto& sa = *made;
  by_spi_[sa.is_initiator() ? sa.spis().initiator : sa.spis().responder] = sa.id();
  if (sa.state() != IkeSa::State::answering) by_connection_[sa.connection()->name].insert(sa.id());
  if (sa.peer_identity()) by_peer_.add(sa);
  touched_.insert(sa.id());
  sas_[sa.id()].sa = std::move(made);
  return sa;
}

IkeSa* IkeCore::find(SaId id) {
  const auto found = sas_.find(id);
  if (found == sas_.end()) return nullptr;
  touched_.insert(id);
  return found->second.sa.get();
}

IkeSa* IkeCore::owner_of(std::uint32_t inbound_spi) {
  const auto found = children_.find(inbound_spi);
  return found == children_.end() ? nullptr : find(found->second);
}

std::vector<const IkeSa*> IkeCore::ike_sas() const {
  std::vector<const IkeSa*> all;
  for (const auto& [id, entry] : sas_) all.push_back(entry.sa.get());
  return all;
}

std::vector<const IkeSa*> IkeCore::ike_sas_of(const std::string& connection) const {
  std::vector<const IkeSa*> all;
  if (const auto ids = by_connection_.find(connection); ids != by_connection_.end())
    for (const auto id : ids->second) all.push_back(ike_sa(id));
  for (const auto& [key, id] : half_open_.all())
    if (const auto* sa = ike_sa(id);
        sa->state() != IkeSa::State::gone && sa->connection()->name == connection)
      all.push_back(sa);
  std::ranges::sort(all, {}, &IkeSa::id);
  return all;
}

bool IkeCore::is_quiet() const {
  return std::ranges::all_of(sas_, [](const auto& each) {
    const auto& sa = *each.second.sa;
    return sa.state() == IkeSa::State::gone || sa.is_half_open();
  });
}

const IkeSa* IkeCore::next_after(SaId id) const {
  const auto next = sas_.upper_bound(id);
  return next == sas_.end() ? nullptr : next->second.sa.get();
}

const IkeSa* IkeCore::ike_sa(SaId id) const {
  const auto found = sas_.find(id);
  return found == sas_.end() ? nullptr : found->second.sa.get();
}

IkeCore::PeerRestarts IkeCore::peer_restarts(const std::string& connection) const {
  const auto found = records_.find(connection);
  return found == records_.end() ? PeerRestarts{} : found->second.peer_restarts;
}

}  // namespace espgate::ike
