#include "drivers/host/netlink_mirror.hpp"

#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "drivers/host/netlink_message.hpp"

namespace espgate::host {
namespace {

using namespace std::chrono_literals;

constexpr int datagrams_per_call = 8;
constexpr auto start_timeout = 10s;
// How long the kernel may need to finish what it announced.
constexpr auto second_look_after = 200ms;
// What did not fit is looked for again this often.
constexpr auto left_out_interval = 60s;
constexpr auto retry_after_failure = 1s;

// Calls `changed` with every key whose value differs between the two maps.
template <typename Map, typename Changed>
void for_each_difference(const Map& before, const Map& after, const Changed& changed) {
  auto old = before.begin();
  auto now = after.begin();
  const auto precedes = before.key_comp();
  while (old != before.end() || now != after.end()) {
    if (now == after.end() || (old != before.end() && precedes(old->first, now->first))) {
      changed((old++)->first);
    } else if (old == before.end() || precedes(now->first, old->first)) {
      changed((now++)->first);
    } else {
      if (!(old->second == now->second)) changed(now->first);
      ++old;
      ++now;
    }
  }
}

}  // namespace

Expected<std::unique_ptr<NetlinkMirror>> NetlinkMirror::create(const Options& options) {
  auto socket = NetlinkSocket::open({RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                     RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEXTHOP},
                                    options.receive_buffer_bytes);
  if (!socket) return socket.error();
  return std::unique_ptr<NetlinkMirror>(new NetlinkMirror(std::move(socket).value(), options));
}

NetlinkMirror::NetlinkMirror(NetlinkSocket socket, const Options& options)
    : socket_(std::move(socket)), options_(options), live_(options.routes) {}

Expected<void> NetlinkMirror::start(Observer observer) {
  observer_ = std::move(observer);
  const auto deadline = Clock::now() + start_timeout;
  full_due_ = true;
  while (full_due_ || step_ != Step::idle) {
    while (receive_one()) {
    }
    begin_if_due();
    if (failure_ != 0)
      return Error{std::string("cannot read the kernel's tables: ") + std::strerror(failure_),
                   "see whether `ip route show table all` works here"};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left <= 0ms)
      return Error{"the kernel's tables could not be read within ten seconds",
                   "see whether `ip monitor` shows a stream of changes, and stop its cause"};
    pollfd wait{socket_.fd(), POLLIN, 0};
    if (step_ != Step::idle) ::poll(&wait, 1, static_cast<int>(left.count()));
  }
  return {};
}

void NetlinkMirror::on_readable() {
  for (int datagram = 0; datagram < datagrams_per_call; ++datagram) {
    if (receive_one()) continue;
    begin_if_due();
    return;
  }
}

void NetlinkMirror::tick(Clock::time_point now) {
  if (second_look_ && now >= *second_look_) {
    second_look_.reset();
    routes_due_ = true;
  }
  if ((live_.routes.overflowed() || live_.neighbours_left_out) && !full_look_)
    full_look_ = now + left_out_interval;
  if (full_look_ && now >= *full_look_) {
    full_look_.reset();
    full_due_ = true;
  }
  if (full_due_ || routes_due_) on_readable();
}

// One datagram. False when none waits.
bool NetlinkMirror::receive_one() {
  switch (socket_.receive([this](nlmsghdr* message) { on_message(message); })) {
    case NetlinkSocket::Received::message_batch:
      return true;
    case NetlinkSocket::Received::overrun:
      ++statistics_.overruns;
      full_due_ = true;
      return true;
    case NetlinkSocket::Received::nothing:
    case NetlinkSocket::Received::failed:
      return false;
  }
  return false;
}

// Only once the queue is empty: an older notice must not be taken for news about the dump.
void NetlinkMirror::begin_if_due() {
  if (step_ != Step::idle || (!full_due_ && !routes_due_)) return;
  full_ = full_due_;
  ++(full_ ? statistics_.full_reads : statistics_.route_reads);
  full_due_ = false;
  routes_due_ = false;
  interrupted_ = false;
  failure_ = 0;
  copy_.emplace(options_.routes);
  request(full_ ? Step::links : Step::routes_v4);
}

void NetlinkMirror::request(Step step) {
  Message message;
  switch (step) {
    case Step::idle:
      return;
    case Step::links:
      message = make_request(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{});
      break;
    case Step::addresses:
      message = make_request(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{});
      break;
    case Step::neighbours:
      message = make_request(RTM_GETNEIGH, NLM_F_DUMP, ndmsg{});
      break;
    case Step::routes_v4:
    case Step::routes_v6: {
      rtmsg header{};
      header.rtm_family = step == Step::routes_v4 ? AF_INET : AF_INET6;
      message = make_request(RTM_GETROUTE, NLM_F_DUMP, header);
      break;
    }
  }
  failure_ = socket_.send(message.get());
  sequence_ = nlmsg_hdr(message.get())->nlmsg_seq;
  step_ = step;
  if (failure_ != 0) abandon();
}

// The dump is of no use; after a refusal, another follows in a while.
void NetlinkMirror::abandon() {
  copy_.reset();
  step_ = Step::idle;
  if (failure_ != 0) full_look_ = Clock::now() + retry_after_failure;
}

void NetlinkMirror::finish_step() {
  // A notice lost meanwhile may have been about what this dump had already passed.
  if (full_due_) return abandon();
  switch (step_) {
    case Step::links:
      return request(Step::addresses);
    case Step::addresses:
      return request(Step::routes_v4);
    case Step::routes_v4:
      return request(Step::routes_v6);
    case Step::routes_v6:
      if (full_) return request(Step::neighbours);
      [[fallthrough]];
    case Step::neighbours:
      return take_copy();
    case Step::idle:
      return;
  }
}

void NetlinkMirror::take_copy() {
  KernelView before = std::move(live_);
  live_ = std::move(*copy_);
  copy_.reset();
  step_ = Step::idle;
  // The kernel changed a table while it was listed: what it listed is good, but may not be all.
  if (interrupted_) (full_ ? full_look_ : second_look_) = Clock::now() + second_look_after;
  if (!full_) {
    live_.links = std::move(before.links);
    live_.addresses = std::move(before.addresses);
    live_.neighbours = std::move(before.neighbours);
    live_.neighbours_left_out = before.neighbours_left_out;
  } else {
    for_each_difference(before.links, live_.links, [&](int ifindex) { tell(LinkChanged{ifindex}); });
    for_each_difference(before.addresses, live_.addresses, [&](const auto& entry) {
      if (live_.addresses.contains(entry))
        tell(AddressAdded{entry.first, entry.second});
      else
        tell(AddressRemoved{entry.first, entry.second});
    });
  }
  for_each_difference(before.routes.all(), live_.routes.all(),
                      [&](const net::Prefix& prefix) { tell(RoutesChanged{prefix}); });
  if (full_)
    for_each_difference(before.neighbours, live_.neighbours,
                        [&](const NeighbourKey& key) { tell(NeighbourChanged{key}); });
}

void NetlinkMirror::on_message(nlmsghdr* message) {
  ++statistics_.notices;
  const bool listed = step_ != Step::idle && message->nlmsg_seq == sequence_ &&
                      ((message->nlmsg_flags & NLM_F_MULTI) != 0 || message->nlmsg_type == NLMSG_ERROR);
  if (!listed) return on_notice(message);
  if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted_ = true;
  if (message->nlmsg_type == NLMSG_DONE) return finish_step();
  if (message->nlmsg_type == NLMSG_ERROR) {
    if (nlmsg_valid_hdr(message, sizeof(nlmsgerr))) {
      nlmsgerr error;
      std::memcpy(&error, nlmsg_data(message), sizeof error);
      failure_ = -error.error;
    }
    return abandon();
  }
  on_listed(message);
}

void NetlinkMirror::on_listed(nlmsghdr* message) {
  switch (message->nlmsg_type) {
    case RTM_NEWLINK:
      if (const auto read = read_link(message)) copy_->links.insert_or_assign(read->ifindex, read->link);
      break;
    case RTM_NEWADDR:
      if (const auto read = read_address(message); read && keeps_address(read->ifindex))
        copy_->addresses.insert_or_assign({read->ifindex, read->address}, read->state);
      break;
    case RTM_NEWROUTE:
      if (const auto read = read_route(message)) copy_->routes.add(*read, RouteNotice::listed);
      break;
    case RTM_NEWNEIGH:
      if (const auto read = read_neighbour(message); read && read->usable && follows(read->key.ifindex)) {
        if (copy_->neighbours.size() < options_.neighbours)
          copy_->neighbours.insert_or_assign(read->key, *read->usable);
        else
          copy_->neighbours_left_out = true;
      }
      break;
    default:
      break;
  }
}

void NetlinkMirror::on_notice(nlmsghdr* message) {
  switch (message->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return on_link(message);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return on_address(message);
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return on_route(message);
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      return on_neighbour(message);
    case RTM_NEWNEXTHOP:
    case RTM_DELNEXTHOP:
      return doubt_routes();
    default:
      return;
  }
}

void NetlinkMirror::on_link(nlmsghdr* message) {
  const auto read = read_link(message);
  if (!read) return;
  const Link* known = live_.link(read->ifindex);
  const bool gone = message->nlmsg_type == RTM_DELLINK;
  if (gone ? known == nullptr : (known != nullptr && *known == read->link)) return;
  const bool moved =
      gone || known == nullptr || known->up != read->link.up || known->running != read->link.running;
  for (KernelView* view : {&live_, copy_ && full_ ? &*copy_ : nullptr}) {
    if (view == nullptr) continue;
    if (gone)
      view->links.erase(read->ifindex);
    else
      view->links.insert_or_assign(read->ifindex, read->link);
  }
  if (moved) doubt_routes();
  tell(LinkChanged{read->ifindex});
}

bool NetlinkMirror::keeps_address(int ifindex) const {
  // Link messages come before address messages, also in a full read.
  const Link* link = copy_ && full_ ? copy_->link(ifindex) : live_.link(ifindex);
  return follows(ifindex) || (link != nullptr && link->loopback);
}

void NetlinkMirror::on_address(nlmsghdr* message) {
  const auto read = read_address(message);
  if (!read) return;
  const bool gone = message->nlmsg_type == RTM_DELADDR;
  // With an address go routes that name it as their source, or all of the interface's: silently.
  if (gone) doubt_routes();
  if (!keeps_address(read->ifindex)) return;
  const std::pair entry{read->ifindex, read->address};
  const auto apply = [&](Addresses& addresses) {
    if (gone) return addresses.erase(entry) != 0;
    const auto known = addresses.find(entry);
    const bool differs = known == addresses.end() || known->second != read->state;
    addresses.insert_or_assign(entry, read->state);
    return differs;
  };
  if (copy_ && full_) apply(copy_->addresses);
  if (!apply(live_.addresses)) return;
  if (gone)
    tell(AddressRemoved{read->ifindex, read->address});
  else
    tell(AddressAdded{read->ifindex, read->address});
}

void NetlinkMirror::on_route(nlmsghdr* message) {
  const auto route = read_route(message);
  if (!route) return;
  const auto apply = [&](RouteList& list) {
    return message->nlmsg_type == RTM_NEWROUTE ? list.add(*route, notice_of(message)) : list.remove(*route);
  };
  if (copy_ && apply(copy_->routes) == RouteList::Outcome::doubtful) routes_due_ = true;
  const auto outcome = apply(live_.routes);
  if (outcome == RouteList::Outcome::doubtful) routes_due_ = true;
  if (outcome != RouteList::Outcome::unchanged) tell(RoutesChanged{route->destination});
}

void NetlinkMirror::on_neighbour(nlmsghdr* message) {
  const auto read = read_neighbour(message);
  if (!read || !follows(read->key.ifindex)) return;
  const auto apply = [&](KernelView& view) {
    if (!read->usable) return view.neighbours.erase(read->key) != 0;
    const auto known = view.neighbours.find(read->key);
    if (known != view.neighbours.end()) {
      const bool differs = !(known->second == *read->usable);
      known->second = *read->usable;
      return differs;
    }
    if (view.neighbours.size() >= options_.neighbours) {
      view.neighbours_left_out = true;
      return false;
    }
    view.neighbours.emplace(read->key, *read->usable);
    return true;
  };
  if (copy_ && full_) apply(*copy_);
  if (apply(live_)) tell(NeighbourChanged{read->key});
}

void NetlinkMirror::doubt_routes() {
  routes_due_ = true;
  second_look_ = Clock::now() + second_look_after;
}

void NetlinkMirror::tell(const Event& event) const {
  if (observer_) observer_(event);
}

}  // namespace espgate::host
