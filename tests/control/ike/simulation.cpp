#include "tests/control/ike/simulation.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace espgate::ike::test {

Simulation::Simulation(unsigned seed, ConnectionHandle of_a, ConnectionHandle of_b, const Limits& limits)
    : a(*this, std::move(of_a), limits), b(*this, std::move(of_b), limits), random(seed) {
  a.restart();
  b.restart();
}

Time Simulation::between(Time least, Time most) {
  return Time(std::uniform_int_distribution<Time::rep>(least.count(), most.count())(random));
}

void Simulation::fail(std::string what) {
  if (problem.empty()) problem = fmt::format("at {} ms: {}", now_ / 1ms, what);
}

std::vector<Node*> Simulation::nodes() {
  std::vector<Node*> all{&a, &b};
  for (const auto& node : more_) all.push_back(node.get());
  return all;
}

Node& Simulation::add(ConnectionHandle connection) {
  more_.push_back(std::make_unique<Node>(*this, std::move(connection), Limits{}));
  more_.back()->restart();
  return *more_.back();
}

Node& Simulation::node_at(const Endpoint& endpoint) {
  for (auto* node : nodes())
    if (node->connection_->is_at(endpoint.address)) return *node;
  return b;
}

void Simulation::at(Time when, std::function<void()> what) {
  planned_.push({when, next_order_++, std::move(what)});
}

// One thing happens, if something does until then.
bool Simulation::step(Time until) {
  const auto planned = planned_.empty() ? never : planned_.top().when;
  const auto all = nodes();
  auto* first = *std::ranges::min_element(all, {}, [](Node* node) { return node->deadline(); });
  const auto timer = first->deadline();
  const auto next = std::min({planned, timer, next_traffic_});
  if (next > until) return false;
  now_ = std::max(now_, next);
  if (next == planned) {
    const auto what = planned_.top().what;
    planned_.pop();
    what();
  } else if (next == timer) {
    first->handle(TimerExpired{});
  } else {
    next_traffic_ = now_ + traffic_every_;
    for (auto* node : all) node->send_traffic();
  }
  return true;
}

void Simulation::run_for(Time duration) {
  const auto until = now_ + duration;
  for (std::size_t steps = 0; step(until) && problem.empty(); ++steps)
    if (steps == 2'000'000) fail("it never comes to rest");
  now_ = until;
}

bool Simulation::comes_up(Time longest) {
  a.handle(Initiate{"a", ""});
  return run_until([this] { return is_well(); }, longest) && problem.empty();
}

bool Simulation::run_until(const std::function<bool()>& condition, Time longest) {
  const auto until = now_ + longest;
  while (problem.empty() && !condition())
    if (!step(until)) return false;
  return problem.empty();
}

bool Simulation::is_well() {
  for (auto* node : {&a, &b}) {
    auto& other = node == &a ? b : a;
    if (node->established().size() != 1) return false;
    if (node->children() != node->connection().children.size()) return false;
    if (node->outbound().size() != node->connection().children.size()) return false;
    for (const auto& [name, sa] : node->outbound())
      if (!other.inbound().contains(sa.spi)) return false;
  }
  return true;
}

bool Simulation::is_well_for(const std::string& child) {
  const auto passes_from = [&](const Node& from, const Node& to) {
    return std::ranges::any_of(from.outbound(), [&](const auto& entry) {
      return entry.second.child == child && to.inbound().contains(entry.second.spi);
    });
  };
  return passes_from(a, b) && passes_from(b, a);
}

std::string Simulation::state() {
  std::string text;
  for (auto* node : {&a, &b}) {
    text += fmt::format("{}:", node->connection().name);
    for (const auto* sa : node->core().ike_sas())
      text += fmt::format(" [{} {:x}/{:x} state {} children {} wanted {}]", sa->id(), sa->spis().initiator,
                          sa->spis().responder, static_cast<int>(sa->state()), sa->children().size(),
                          sa->wanted().size());
    for (const auto& [name, sa] : node->outbound()) text += fmt::format(" {} out {:x}", name, sa.spi);
    for (const auto& [spi, sa] : node->inbound()) text += fmt::format(" in {:x}", spi);
    text += fmt::format(" last failure: {}\n", node->core().last_failure(node->connection().name, now_));
    for (std::size_t i = node->log.size() - std::min<std::size_t>(node->log.size(), 12); i < node->log.size();
         ++i)
      text += "  " + node->log[i] + '\n';
  }
  return text;
}

Node::Node(Simulation& world, ConnectionHandle connection, Limits limits)
    : world_(world), connection_(std::move(connection)), limits_(limits) {}

void Node::restart() {
  ++life_;
  retired_.clear();
  larval_.clear();
  inbound_.clear();
  outbound_.clear();
  assigned.clear();
  lingering_.clear();
  IkeCore::Parts parts;
  parts.random = [this](std::span<std::uint8_t> bytes) {
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(world_.random());
  };
  parts.tokens =
      CrashTokens({Secret(std::vector<std::uint8_t>(32, address().bytes[3]))});  // outlives a crash
  parts.child_spi = [this](const std::string&) -> std::optional<std::uint32_t> {
    for (;;) {
      const auto spi = static_cast<std::uint32_t>(world_.random());
      if (spi < 256 || !spis_.insert(spi).second) continue;
      larval_.insert(spi);
      return spi;
    }
  };
  parts.wants_keys = [this] { return wants_keys; };
  core_ = std::make_unique<IkeCore>(std::move(parts), limits_);
  configure(connection_);
}

void Node::configure(ConnectionHandle connection) {
  connection_ = std::move(connection);
  carry_out(core_->configure({connection_}, world_.now() + ahead_));
}

void Node::handle(const Event& event) {
  carry_out(core_->handle(event, world_.now() + ahead_));
}

void Node::carry_out(Actions actions) {
  for (const auto& action : actions) std::visit([this](const auto& each) { on(each); }, action);
  // What is installed belongs to an IKE SA whose peer has proved who it is.
  for (const auto* sa : core_->ike_sas())
    if (!sa->children().empty() && !sa->peer_identity()) world_.fail("a child before AUTH");
}

void Node::on(const SendDatagram& action) {
  if (world_.passes && !world_.passes(action)) return;
  if (world_.gone.contains(action.from.address)) return;
  const int copies = world_.chance(world_.faults.loss) ? 0 : world_.chance(world_.faults.repeat) ? 2 : 1;
  for (int i = 0; i < copies; ++i)
    world_.after(world_.between(world_.faults.shortest, world_.faults.longest), [this, action] {
      if (world_.gone.contains(action.to.address)) return;
      ++world_.datagrams;
      world_.node_at(action.to).handle(DatagramReceived{action.from, action.to, action.bytes});
    });
}

void Node::on(const RunWork& action) {
  if (world_.works && !world_.works(*this, action)) return;
  const bool done = !world_.chance(world_.faults.work_refused);
  world_.after(world_.between(0ms, world_.faults.longest_work), [this, action, done, life = life_] {
    if (life != life_) return;
    if (done) action.run();
    handle(WorkFinished{action.ticket, done});
  });
}

void Node::on(const InstallInbound& action) {
  larval_.erase(action.sa.spi);
  ++installed;
  if (!inbound_.emplace(action.sa.spi, action.sa).second) world_.fail("an inbound SPI is installed twice");
}

std::string name_of(const std::string& child, const std::optional<Identity>& peer) {
  return peer ? child + '/' + to_string(*peer) : child;
}

void Node::on(const InstallOutbound& action) {
  if (!inbound_.contains(action.inbound_spi)) world_.fail("outbound before inbound");
  // The sequence numbers of an SA start at 1 once: a key that comes again is a nonce that comes again.
  if (!world_.used_keys.insert(action.sa.keymat.bytes()).second) world_.fail("a key is used twice");
  outbound_.insert_or_assign(name_of(action.sa.child, action.sa.peer), action.sa);
}

void Node::on(const RetireInbound& action) {
  retired_[action.inbound_spi] = world_.now();
  larval_.erase(action.inbound_spi);
  if (action.replaced) {
    const auto spi = action.inbound_spi;
    world_.after(30s, [this, spi, life = life_] {
      if (life == life_) inbound_.erase(spi);
    });
  } else {
    inbound_.erase(action.inbound_spi);
  }
}

void Node::on(const RetireOutbound& action) {
  const auto found = outbound_.find(name_of(action.child, action.peer));
  if (found == outbound_.end() || found->second.spi != action.spi)
    return world_.fail("an outbound SA that is not in use is retired");
  outbound_.erase(found);
}

void Node::on(const TakeAddresses& action) {
  for (const auto& address : action.addresses) assigned.insert(net::to_string(address));
}

void Node::on(const DropAddresses& action) {
  for (const auto& address : action.addresses) {
    const auto found = assigned.find(net::to_string(address));
    if (found == assigned.end()) return world_.fail("an address goes that was not there");
    assigned.erase(found);
  }
}

void Node::on(const LogLine& action) {
  if (action.level == Level::debug) return;
  log.push_back(fmt::format("{} ms: {}", world_.now() / 1ms, action.text));
}

void Node::send_traffic() {
  if (connection_->remote)
    for (const auto& child : connection_->children) unsent += !outbound_.contains(child.name);
  for (const auto& [name, sa] : outbound_) {
    if (world_.chance(world_.faults.loss)) continue;
    if (world_.gone.contains(sa.local.address) || world_.gone.contains(sa.remote.address)) {
      ++astray;
      continue;
    }
    world_.after(world_.between(world_.faults.shortest, world_.faults.longest),
                 [this, sent = sa] { world_.node_at(sent.remote).packet_arrived(sent); });
  }
}

void Node::packet_arrived(const ChildSaParameters& sent) {
  const auto sa = inbound_.find(sent.spi);
  if (sa == inbound_.end()) {
    ++missed;
    if (world_.repairs) repair(sent);
    return;
  }
  if (!(sa->second.keymat == sent.keymat)) return world_.fail("the two sides have different keys");
  if (sa->second.extended_sequence != sent.extended_sequence || sa->second.suite != sent.suite)
    return world_.fail("the two sides have different algorithms");
  ++received;
  handle(TrafficArrived{sent.spi});
}

// As a gateway does it: what was retired a moment ago may be on its way still.
void Node::repair(const ChildSaParameters& sent) {
  const auto retired = retired_.find(sent.spi);
  if (larval_.contains(sent.spi)) return;
  const bool is_late = retired != retired_.end() && retired->second + 1s > world_.now();
  if (is_late || world_.now() < not_repaired_before_) return;
  not_repaired_before_ = world_.now() + 1s;
  if (core_->reach(connection_->name) != IkeCore::Reach::impossible)
    return handle(InvalidSpi{connection_->name, sent.child, {}, sent.spi});
  const auto& owner = owners_.at(sent.spi);
  handle(LostSpi{sent.spi, owner.ike_sa, owner.we_began, sent.remote, sent.local, 100});
}

std::vector<const IkeSa*> Node::established() const {
  std::vector<const IkeSa*> found;
  for (const auto* sa : core_->ike_sas())
    if (sa->state() == IkeSa::State::established) found.push_back(sa);
  return found;
}

std::size_t Node::children() const {
  std::size_t count = 0;
  for (const auto* sa : core_->ike_sas()) count += sa->children().size();
  return count;
}

Identity fqdn(std::string_view name) {
  return {IdType::fqdn, {name.begin(), name.end()}};
}

SelectorSide side(std::string_view range) {
  return {*net::parse_range(range), {}, {}};
}

std::shared_ptr<const Authenticator> shared_key(std::string_view key) {
  return std::make_shared<SharedKeyAuthenticator>(Secret(std::vector<std::uint8_t>(key.begin(), key.end())),
                                                  IdentityPattern());
}

ConnectionHandle handle(Connection connection) {
  return std::make_shared<const Connection>(std::move(connection));
}

namespace {

Connection one_of(std::string_view name, std::string_view local, std::string_view remote,
                  std::string_view local_net, std::string_view remote_net) {
  Connection connection;
  connection.name = name;
  connection.local = net::parse_address(local);
  connection.remote = net::parse_address(remote);
  connection.identity = fqdn(fmt::format("{}.example", name));
  connection.authenticator = shared_key("correct horse battery staple");
  connection.algorithms = {{crypto::SuiteId::aes_gcm_16_256}, {Prf::hmac_sha2_256}, {31}};
  ChildConfiguration child;
  child.name = "net";
  child.algorithms = {{crypto::SuiteId::aes_gcm_16_128}, {}, true, false};
  child.local = {side(local_net)};
  child.remote = {side(remote_net)};
  connection.children = {child};
  return connection;
}

}  // namespace

Connection connection_of_a() {
  return one_of("a", "192.0.2.1", "192.0.2.2", "10.1.0.0/16", "10.2.0.0/16");
}
Connection connection_of_b() {
  return one_of("b", "192.0.2.2", "192.0.2.1", "10.2.0.0/16", "10.1.0.0/16");
}

}  // namespace espgate::ike::test
