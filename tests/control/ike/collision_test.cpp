// Both sides do something at the same time, and every order in which their messages can arrive is tried
// (RFC 7296 2.8.1, 2.25): not a sample, all of them. Only where those are too many they are a sample, each
// from its seed, and longer in scripts/long-tests.
#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>

#include "tests/control/ike/simulation.hpp"
#include "tests/sanitized.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace espgate::ike::test;

namespace {

enum class Deed { nothing, rekey_child, rekey_ike, close_child, close_ike, new_child, close_new, report };
using Deeds = std::vector<Deed>;  // of one side, in this order, before anything is answered

const char* name_of(Deed deed) {
  switch (deed) {
    case Deed::nothing:
      return "nothing";
    case Deed::rekey_child:
      return "rekey the child";
    case Deed::rekey_ike:
      return "rekey the IKE SA";
    case Deed::close_child:
      return "delete the child";
    case Deed::close_ike:
      return "delete the IKE SA";
    case Deed::new_child:
      return "make another child";
    case Deed::close_new:
      return "delete that one";
    case Deed::report:
      return "tell of an invalid SPI";
  }
  return "";
}

// A run through a tree of choices, and how to come to the next one: of all, or of so many by chance.
class Choices {
 public:
  Choices() = default;
  explicit Choices(unsigned sample, unsigned seed = 0) : sample_(sample), seed_(seed), random_(seed) {}

  std::size_t pick(std::size_t options) {
    if (at_ == taken_.size()) taken_.push_back({sample_ == 0 ? 0 : random_() % options, options});
    return taken_[at_++].first;
  }
  bool next() {
    at_ = 0;
    if (sample_ != 0) {
      taken_.clear();
      random_.seed(++seed_);
      return seed_ < sample_;
    }
    while (!taken_.empty() && ++taken_.back().first == taken_.back().second) taken_.pop_back();
    return !taken_.empty();
  }
  std::string text() const {
    auto out = sample_ == 0 ? std::string() : fmt::format("of seed {}: ", seed_);
    for (const auto& [choice, options] : taken_) out += fmt::format("{}/{} ", choice, options);
    return out;
  }

 private:
  std::vector<std::pair<std::size_t, std::size_t>> taken_;
  std::size_t at_ = 0;
  unsigned sample_ = 0;  // 0: all
  unsigned seed_ = 0;
  std::mt19937 random_{0};
};

void ask(Node& node, Deed deed) {
  const auto& name = node.connection().name;
  switch (deed) {
    case Deed::nothing:
      return;
    case Deed::rekey_child:
      return node.handle(Rekey{name, "net"});
    case Deed::rekey_ike:
      return node.handle(Rekey{name, ""});
    case Deed::close_child:
      return node.handle(Terminate{name, "net"});
    case Deed::close_ike:
      return node.handle(Terminate{name, ""});
    case Deed::new_child:
      return node.handle(Initiate{name, "other"});
    case Deed::close_new:
      return node.handle(Terminate{name, "other"});
    case Deed::report:
      return node.handle(InvalidSpi{name, "net", {}, 0x1001, false});
  }
}

std::string names_of(const Deeds& deeds) {
  std::string text;
  for (const auto deed : deeds) text += fmt::format("{}{}", text.empty() ? "" : ", then ", name_of(deed));
  return text;
}

bool has(const Deeds& deeds, Deed deed) {
  return std::ranges::find(deeds, deed) != deeds.end();
}

Connection with_second_child(Connection connection, std::string_view local, std::string_view remote) {
  connection.liveness_after = 0s;
  auto other = connection.children[0];
  other.name = "other";
  other.local = {side(local)};
  other.remote = {side(remote)};
  connection.children.push_back(other);
  return connection;
}

struct Tree {
  Deeds of_a;
  Deeds of_b;
  bool secrecy;     // children have a key exchange of their own
  unsigned losses;  // datagrams that may be lost, each at any place
  // Methods of the additional key exchanges that the IKE SA and the children have (RFC 9370).
  std::vector<std::vector<std::uint16_t>> additional{};
  bool work_at_once = false;         // else what comes of it is in any order, too
  Deeds later_of_a{}, later_of_b{};  // each at any time
  bool has_other = false;            // the other child is there from the start

  Deeds all() const {
    Deeds deeds;
    for (const auto* some : {&of_a, &of_b, &later_of_a, &later_of_b})
      deeds.insert(deeds.end(), some->begin(), some->end());
    return deeds;
  }
  // Whose traffic nothing ends.
  std::set<std::string> kept() const {
    const auto deeds = all();
    std::set<std::string> children;
    if (has(deeds, Deed::close_ike)) return children;
    if (!has(deeds, Deed::close_child)) children.insert("net");
    if (has_other && !has(deeds, Deed::close_new)) children.insert("other");
    return children;
  }
};

constexpr std::size_t latest_step = 32;

std::string run(const Tree& tree, Choices& choices) {
  auto of_a = with_second_child(connection_of_a(), "10.3.0.0/16", "10.4.0.0/16");
  auto of_b = with_second_child(connection_of_b(), "10.4.0.0/16", "10.3.0.0/16");
  if (tree.secrecy)
    for (auto* connection : {&of_a, &of_b})
      for (auto& child : connection->children) child.algorithms.key_exchanges = {31};
  for (auto* connection : {&of_a, &of_b}) {
    connection->algorithms.additional = tree.additional;
    for (auto& child : connection->children) child.algorithms.additional = tree.additional;
  }
  Simulation world(7, handle(of_a), handle(of_b));
  world.faults.longest_work = 0ms;
  world.a.handle(Initiate{"a", tree.has_other ? "" : "net"});
  const auto is_up = [&](const std::string& child) {
    return world.a.outbound().contains(child) && world.b.outbound().contains(child);
  };
  if (!world.run_until([&] { return is_up("net") && (!tree.has_other || is_up("other")); }, 5s))
    return "it does not come up";
  world.run_for(1s);

  // Datagrams and public-key work: what comes next is chosen.
  std::vector<std::function<void()>> under_way;
  std::vector<bool> can_be_lost;
  world.passes = [&](const SendDatagram& datagram) {
    under_way.push_back([&world, datagram] {
      world.node_at(datagram.to).handle(DatagramReceived{datagram.from, datagram.to, datagram.bytes});
    });
    can_be_lost.push_back(true);
    return false;
  };
  world.works = [&](Node& node, const RunWork& work) {
    if (tree.work_at_once) return true;
    under_way.push_back([&node, work] {
      work.run();
      node.handle(WorkFinished{work.ticket});
    });
    can_be_lost.push_back(false);
    return false;
  };
  const auto kept = tree.kept();
  for (const auto deed : tree.of_a) ask(world.a, deed);
  for (const auto deed : tree.of_b) ask(world.b, deed);
  // By the step before which it comes.
  std::multimap<std::size_t, std::function<void()>> later;
  for (auto* node : {&world.a, &world.b})
    for (const auto deed : node == &world.a ? tree.later_of_a : tree.later_of_b)
      later.emplace(choices.pick(latest_step), [node, deed] { ask(*node, deed); });
  auto losses = tree.losses;
  for (std::size_t steps = 0; steps < 400 && world.problem.empty(); ++steps) {
    for (; !later.empty() && later.begin()->first <= steps; later.erase(later.begin()))
      later.begin()->second();
    if (tree.work_at_once) world.run_for(0s);
    for (auto* node : {&world.a, &world.b})
      for (const auto& child : kept) {
        const auto& other = node == &world.a ? world.b : world.a;
        const auto sa = node->outbound().find(child);
        if (sa == node->outbound().end()) return "there is nothing to send on\n" + world.state();
        if (!other.inbound().contains(sa->second.spi))
          return "what is sent now is not known where it comes to\n" + world.state();
      }
    if (under_way.empty()) {
      // Nothing is under way: time passes until something is sent, or nothing is any more.
      const bool is_sent = world.run_until([&] { return !under_way.empty(); }, later.empty() ? 180s : 1s);
      if (!is_sent && later.empty()) break;
      continue;
    }
    const auto chosen = choices.pick(under_way.size());
    const auto place = static_cast<std::ptrdiff_t>(chosen);
    const auto happens = under_way[chosen];
    const bool lossy = can_be_lost[chosen];
    under_way.erase(under_way.begin() + place);
    can_be_lost.erase(can_be_lost.begin() + place);
    if (lossy && losses > 0 && choices.pick(2) == 1) {
      --losses;
      continue;
    }
    happens();
  }
  if (!world.problem.empty()) return world.problem;
  if (!under_way.empty()) return "it does not come to rest\n" + world.state();
  // Both sides have the same, once each.
  const auto sas_a = world.a.established(), sas_b = world.b.established();
  if (world.a.core().ike_sas().size() != sas_a.size() || world.b.core().ike_sas().size() != sas_b.size())
    return "there are IKE SAs that are not up\n" + world.state();
  if (sas_a.size() != sas_b.size() || sas_a.size() > 1) return "not the same IKE SAs\n" + world.state();
  if (!kept.empty() && sas_a.empty()) return "the IKE SA is gone\n" + world.state();
  if (world.a.children() != world.b.children()) return "not the same children\n" + world.state();
  const auto deeds = tree.all();
  const auto most = 1 + static_cast<std::size_t>(tree.has_other) +
                    static_cast<std::size_t>(std::ranges::count(deeds, Deed::new_child));
  if (world.a.children() > most) return "children are left over\n" + world.state();
  for (auto* node : {&world.a, &world.b}) {
    if (node->inbound().size() != node->children()) return "inbound SAs are left over\n" + world.state();
    if (node->reserved() != 0) return "SPIs are left over\n" + world.state();
  }
  for (const auto& child : kept)
    if (!is_up(child)) return "child " + child + " is gone\n" + world.state();
  const auto is_closed_by_a = [&](Deed deed) { return has(tree.of_a, deed) || has(tree.later_of_a, deed); };
  if (is_closed_by_a(Deed::close_child) && world.a.outbound().contains("net"))
    return "the child that was deleted is there\n" + world.state();
  const bool is_made_later = has(tree.later_of_a, Deed::new_child) || has(tree.of_b, Deed::new_child) ||
                             has(tree.later_of_b, Deed::new_child);
  if (is_closed_by_a(Deed::close_new) && !is_made_later && world.a.outbound().contains("other"))
    return "the other child that was deleted is there\n" + world.state();
  const bool is_wanted =
      has(deeds, Deed::new_child) && !has(deeds, Deed::close_new) && !has(deeds, Deed::close_ike);
  if (is_wanted && !is_up("other")) return "the other child is not made\n" + world.state();
  for (auto* node : {&world.a, &world.b})
    for (const auto& [name, sa] : node->outbound())
      if (!(node == &world.a ? world.b : world.a).inbound().contains(sa.spi))
        return "outbound without inbound\n" + world.state();
  return "";
}

// Under sanitizers a sample goes through the same code.
Choices all_orders() {
  return testing::sanitized ? Choices(25) : Choices();
}

std::size_t run_all(const Tree& tree, Choices choices = all_orders()) {
  std::size_t runs = 0;
  do {
    ++runs;
    const auto problem = run(tree, choices);
    if (!problem.empty()) {
      INFO("a: " << names_of(tree.of_a) << ", later " << names_of(tree.later_of_a)
                 << ", b: " << names_of(tree.of_b) << ", later " << names_of(tree.later_of_b) << ", losses "
                 << tree.losses << ", choices " << choices.text());
      FAIL(problem);
    }
  } while (choices.next());
  return runs;
}

// ESPGATE_ORDERS: how many of each two things, or of all.
unsigned wanted_orders(unsigned preset) {
  const char* wanted = std::getenv("ESPGATE_ORDERS");
  return wanted != nullptr ? static_cast<unsigned>(std::atoi(wanted)) : testing::many(preset);
}

constexpr Deed deeds[] = {Deed::nothing,     Deed::rekey_child, Deed::rekey_ike,
                          Deed::close_child, Deed::close_ike,   Deed::new_child};

// One thing of each side at once, rekeys of the IKE SA above all, and up to two more of each later.
Tree by_chance(unsigned seed) {
  using enum Deed;
  static const Deeds some[] = {{nothing, rekey_child, rekey_ike, new_child, close_new, report},
                               {nothing, rekey_child, rekey_ike, close_child, close_new, new_child},
                               {nothing, rekey_child, rekey_ike, close_child, close_new, close_ike}};
  std::mt19937 random(~seed);  // other numbers than those of the choices
  const auto pick = [&](std::size_t options) { return random() % options; };
  const auto& possible = some[pick(std::size(some))];
  const auto deed = [&] { return pick(2) == 0 ? rekey_ike : possible[pick(possible.size())]; };
  Tree tree{{deed()}, {deed()}, true, static_cast<unsigned>(pick(2))};
  for (auto* later : {&tree.later_of_a, &tree.later_of_b})
    for (auto count = pick(3); count > 0; --count) later->push_back(deed());
  if (pick(2) == 0) tree.additional = {{19}};
  tree.work_at_once = pick(2) == 0;
  tree.has_other = pick(2) == 0;
  return tree;
}

}  // namespace

TEST_CASE("whatever both sides do at once, in every order of arrival, they agree in the end") {
  std::size_t runs = 0;
  for (const bool secrecy : {false, true})
    for (const auto of_a : deeds)
      for (const auto of_b : deeds) runs += run_all({{of_a}, {of_b}, secrecy, 0});
  WARN(runs << " orders of arrival");
  CHECK(runs > 72);
}

TEST_CASE("the same with additional key exchanges, in every order of their messages") {
  std::size_t runs = 0;
  for (const auto of_a : deeds)
    for (const auto of_b : deeds) runs += run_all({{of_a}, {of_b}, true, 0, {{19}}, true});
  for (const auto of_a : {Deed::rekey_child, Deed::rekey_ike})
    for (const auto of_b : {Deed::rekey_child, Deed::rekey_ike, Deed::close_child, Deed::close_ike})
      runs += run_all({{of_a}, {of_b}, true, 0, {{19}, {32}}, true});
  WARN(runs << " orders of arrival");
  CHECK(runs > 44);
}

TEST_CASE("the same with additional key exchanges whose work takes any time") {
  std::size_t runs = 0;
  for (const auto of_a : deeds)
    for (const auto of_b : deeds)
      for (const unsigned losses : {0U, 1U})
        runs += run_all({{of_a}, {of_b}, true, losses, {{19}}}, Choices(wanted_orders(50)));
  WARN(runs << " orders of arrival and work");
  CHECK(runs >= 72);
}

TEST_CASE("the same when any one datagram of a rekey is lost") {
  std::size_t runs = 0;
  for (const auto of_a : {Deed::rekey_child, Deed::rekey_ike})
    for (const auto of_b : {Deed::nothing, Deed::rekey_child, Deed::rekey_ike})
      for (const bool more : {false, true}) {
        Tree tree{{of_a}, {of_b}, more, 1};
        tree.work_at_once = more;
        if (more) tree.additional = {{19}};
        runs += run_all(tree);
      }
  WARN(runs << " orders of arrival and loss");
  CHECK(runs > 12);
}

TEST_CASE("one side does two things one behind the other, while the other side does something") {
  const struct {
    Deeds of_a;
    std::vector<Deed> of_b;
  } trees[] = {
      {{Deed::rekey_child, Deed::close_child}, {Deed::nothing, Deed::rekey_child, Deed::close_child}},
      {{Deed::close_child, Deed::rekey_child}, {Deed::nothing, Deed::rekey_child}},
      {{Deed::rekey_ike, Deed::close_child}, {Deed::nothing}},
      {{Deed::new_child, Deed::close_new}, {Deed::nothing, Deed::close_child}},
      {{Deed::rekey_child, Deed::close_ike}, {Deed::nothing}},
  };
  std::size_t runs = 0;
  for (const bool secrecy : {false, true})
    for (const auto& tree : trees)
      for (const auto of_b : tree.of_b)
        if (!secrecy || of_b == Deed::nothing) runs += run_all({tree.of_a, {of_b}, secrecy, 0});
  for (const auto& tree : trees)
    for (const auto of_b : tree.of_b) runs += run_all({tree.of_a, {of_b}, true, 0, {{19}}, true});
  WARN(runs << " orders of arrival");
  CHECK(runs > 14);
}

TEST_CASE("whatever both sides do at once, and later at any time") {
  const auto orders = wanted_orders(1'500);
  for (unsigned seed = 0; seed < orders; ++seed) run_all(by_chance(seed), Choices(seed + 1, seed));
}

TEST_CASE("both sides rekey the IKE SA, and more is asked of it at any time") {
  Tree makes{{Deed::rekey_ike}, {Deed::rekey_ike}, true, 0};
  makes.work_at_once = true;
  auto closes = makes;
  makes.later_of_a = {Deed::close_child};  // so that none of the IKE SAs has children
  makes.later_of_b = {Deed::new_child};
  closes.additional = {{19}};
  closes.has_other = true;
  closes.later_of_a = {Deed::close_new};
  for (const auto& tree : {makes, closes}) run_all(tree, Choices(wanted_orders(250)));
}
