#include "benchmarks/ike/initiators.hpp"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <charconv>
#include <cstdio>
#include <deque>
#include <stdexcept>

namespace espgate::bench {
namespace {

using ike::Time;

// A core looks through all connections with one peer when it begins with it; the gateways behind these
// initiators would each have but one.
constexpr std::size_t group_size = 50;
constexpr std::chrono::seconds never_rekeyed{1'000'000};

Time now() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

void fill_random(std::span<std::uint8_t> bytes) {
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
    throw std::runtime_error("the random number generator is broken");
}

net::Address following(const net::Address& first, std::size_t number) {
  return net::Address::v4(first.v4_value() + static_cast<std::uint32_t>(number));
}

ike::ConnectionHandle connection_of(const Plan& plan, std::size_t number) {
  ike::Connection connection;
  connection.name = std::to_string(number);
  connection.local = following(plan.first, number);
  connection.remote = plan.responder;
  connection.identity = plan.identity.data.empty() ? ike::address_identity(*connection.local) : plan.identity;
  connection.authenticator = plan.authenticator;
  connection.algorithms = {{crypto::SuiteId::aes_gcm_16_128}, {ike::Prf::hmac_sha2_256}, {31}};
  connection.force_encapsulation = plan.encapsulate;
  connection.liveness_after = std::chrono::seconds(0);
  const auto after = [](std::chrono::seconds wanted) { return wanted.count() == 0 ? never_rekeyed : wanted; };
  connection.rekey_after = after(plan.rekey_after);
  connection.expires_after = connection.rekey_after * 2;
  ike::ChildConfiguration child;
  child.name = connection.name;
  child.algorithms = {{crypto::SuiteId::aes_gcm_16_128}, {31}, true, true};  // with or without ESN
  child.local = {{net::AddressRange::of({following(plan.first_inner, number), 32}), {}, {}}};
  child.remote = {{net::AddressRange::of(plan.responder_network), {}, {}}};
  child.rekey_after = after(plan.child_rekey_after);
  child.expires_after = child.rekey_after * 2;
  connection.children = {child};
  return std::make_shared<const ike::Connection>(std::move(connection));
}

ike::Limits limits() {
  ike::Limits limits;
  limits.stranger_lines_per_minute = 0;
  return limits;
}

std::size_t number_of(const std::string& name) {
  std::size_t number = 0;
  std::from_chars(name.data(), name.data() + name.size(), number);
  return number;
}

}  // namespace

// Some initiators in one core.
class Initiators::Group {
 public:
  Group(Initiators& all, std::size_t first, std::size_t count)
      : all_(all),
        core_({fill_random, [this](const std::string&) { return std::optional(next_spi_++); }}, limits()) {
    std::vector<ike::ConnectionHandle> connections;
    for (std::size_t i = 0; i < count; ++i) connections.push_back(connection_of(all.plan_, first + i));
    carry_out(core_.configure(connections, now()));
  }

  void feed(ike::Event event) {
    events_.push_back(std::move(event));
    if (events_.size() > 1) return;  // another call is at it
    for (; !events_.empty(); events_.pop_front()) carry_out(core_.handle(events_.front(), now()));
  }
  Time deadline() const { return core_.deadline(); }

 private:
  void carry_out(const ike::Actions& actions) {
    for (const auto& action : actions) std::visit([this](const auto& each) { on(each); }, action);
  }
  void on(const ike::SendDatagram& action) { all_.ports_.send(action); }
  void on(const ike::RunWork& action) {
    action.run();
    events_.push_back(ike::WorkFinished{action.ticket, true});
  }
  void on(const ike::InstallOutbound& action) {
    const auto number = number_of(action.sa.connection);
    auto& standing = all_.standings_[number];
    if (standing == Standing::up) {
      ++all_.rekeyed_;
      return;
    }
    standing = Standing::up;
    --all_.under_way_;
    ++all_.up_;
    all_.times_.push_back(now() - all_.began_[number]);
  }
  void on(const ike::RetireOutbound&) { ++all_.lost_; }
  void on(const ike::LogLine& action) {
    if (action.level != ike::Level::warning) return;
    if (all_.failed_ < 5) fmt::print(stderr, "{}\n", action.text);
    auto& standing = all_.standings_[number_of(action.connection)];
    if (standing != Standing::under_way) return;
    standing = Standing::failed;
    --all_.under_way_;
    ++all_.failed_;
  }
  void on(const auto&) {}  // what there is no datapath for

  Initiators& all_;
  ike::IkeCore core_;
  std::deque<ike::Event> events_;
  std::uint32_t next_spi_ = 0x1000;
};

Initiators::Initiators(Plan plan)
    : plan_(std::move(plan)), began_(plan_.count), standings_(plan_.count, Standing::waiting) {
  for (std::size_t first = 0; first < plan_.count; first += group_size)
    groups_.push_back(std::make_unique<Group>(*this, first, std::min(group_size, plan_.count - first)));
}

Initiators::~Initiators() = default;

void Initiators::begin_one() {
  const auto number = next_++;
  standings_[number] = Standing::under_way;
  ++under_way_;
  began_[number] = now();
  groups_[number / group_size]->feed(ike::Initiate{std::to_string(number), ""});
}

void Initiators::step() {
  while (under_way_ < plan_.window && next_ < plan_.count) begin_one();
  ports_.receive(1, [this](ike::DatagramReceived datagram) {
    const auto number = datagram.to.address.v4_value() - plan_.first.v4_value();
    if (number < plan_.count) groups_[number / group_size]->feed(std::move(datagram));
  });
  const auto time = now();
  for (const auto& group : groups_)
    while (group->deadline() <= time) group->feed(ike::TimerExpired{});
}

}  // namespace espgate::bench
