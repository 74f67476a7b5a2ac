// Sets IKE SAs up with a responder as fast as it lets, then keeps them up. Prints one line of JSON each time
// another block of them is up, and one when it is told to end: benchmarks/ike/bench.py reads them.
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "benchmarks/ike/initiators.hpp"
#include "control/config/credentials.hpp"
#include "control/ike/signature_authenticator.hpp"

namespace {

using namespace espgate;
using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t told_to_end = 0;

struct Options {
  std::string responder, first, first_inner, network, psk, certificate, key, authority, identity;
  std::size_t count = 1'000, window = 64, block = 1'000;
  unsigned child_rekey_after_s = 0, rekey_after_s = 0;
  bool encapsulate = false;
};

template <typename Value>
Value need(std::optional<Value> value, const std::string& what) {
  if (!value) throw std::runtime_error(what);
  return *std::move(value);
}
template <typename Value>
Value need(Expected<Value> value) {
  if (!value) throw std::runtime_error(value.error().text());
  return *std::move(value);
}

std::shared_ptr<const ike::Authenticator> authenticator(const Options& options) {
  if (!options.psk.empty())
    return std::make_shared<ike::SharedKeyAuthenticator>(
        Secret(std::vector<std::uint8_t>(options.psk.begin(), options.psk.end())), ike::IdentityPattern());
  auto own = need(ike::OwnCertificate::make(need(config::load_certificates(options.certificate)),
                                            need(config::load_private_key(options.key)).key));
  auto trust = need(
      ike::TrustStore::make(need(config::load_certificates(options.authority)), {}, ike::Revocation::off));
  return std::make_shared<ike::SignatureAuthenticator>(
      std::make_shared<const ike::OwnCertificate>(std::move(own)),
      std::make_shared<const ike::TrustStore>(std::move(trust)), ike::IdentityPattern());
}

bench::Plan plan_of(const Options& options) {
  bench::Plan plan;
  plan.responder = need(net::parse_address(options.responder), "--responder takes an address");
  plan.first = need(net::parse_address(options.first), "--first takes an address");
  plan.first_inner = need(net::parse_address(options.first_inner), "--first-inner takes an address");
  plan.responder_network = need(net::parse_prefix(options.network), "--network takes a network");
  plan.count = options.count;
  plan.window = options.window;
  plan.encapsulate = options.encapsulate;
  plan.authenticator = authenticator(options);
  plan.child_rekey_after = std::chrono::seconds(options.child_rekey_after_s);
  plan.rekey_after = std::chrono::seconds(options.rekey_after_s);
  if (!options.identity.empty()) plan.identity = need(ike::parse_identity(options.identity));
  return plan;
}

double cpu_s() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

void report(bench::Initiators& initiators, Clock::time_point began) {
  auto& times = initiators.times();
  std::ranges::sort(times);
  const auto at = [&](std::size_t percent) {
    return times.empty()
               ? 0.0
               : std::chrono::duration<double, std::milli>(times[(times.size() - 1) * percent / 100]).count();
  };
  const nlohmann::json line{{"up", initiators.up()},
                            {"failed", initiators.failed()},
                            {"lost", initiators.lost()},
                            {"rekeyed", initiators.rekeyed()},
                            {"seconds", std::chrono::duration<double>(Clock::now() - began).count()},
                            {"own_cpu_s", cpu_s()},
                            {"setup_ms", {{"median", at(50)}, {"p99", at(99)}, {"max", at(100)}}}};
  times.clear();
  fmt::print("{}\n", line.dump());
  std::fflush(stdout);
}

void run(const Options& options) {
  bench::Initiators initiators(plan_of(options));
  const auto began = Clock::now();
  std::size_t reported = 0;
  while (told_to_end == 0) {
    initiators.step();
    const auto finished = initiators.up() + initiators.failed();
    if (finished < reported + options.block && (finished < options.count || reported == finished)) continue;
    reported = finished;
    report(initiators, began);
  }
  report(initiators, began);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Sets IKE SAs up with a responder, and keeps them up until SIGTERM"};
  app.add_option("--responder", options.responder, "address of the responder")->required();
  app.add_option("--first", options.first, "address of the first initiator; the others follow")->required();
  app.add_option("--first-inner", options.first_inner, "address behind it, and so on")->required();
  app.add_option("--network", options.network, "network behind the responder")->required();
  app.add_option("--count", options.count, "initiators");
  app.add_option("--window", options.window, "set-ups under way at once");
  app.add_option("--block", options.block, "a line after so many set-ups");
  app.add_option("--psk", options.psk, "pre-shared key");
  app.add_option("--certificate", options.certificate, "of all initiators");
  app.add_option("--private-key", options.key);
  app.add_option("--ca", options.authority, "of the responder's certificate");
  app.add_option("--identity", options.identity, "of all initiators; default: each one's address");
  app.add_option("--child-rekey-after", options.child_rekey_after_s, "seconds; 0: left to the responder");
  app.add_option("--rekey-after", options.rekey_after_s, "the same of IKE SAs");
  app.add_flag("--encapsulate", options.encapsulate, "UDP for ESP even where no NAT is");
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGTERM, [](int) { told_to_end = 1; });
  try {
    run(options);
  } catch (const std::exception& failure) {
    fmt::print(stderr, "ike_load: {}\n", failure.what());
    return 1;
  }
  return 0;
}
