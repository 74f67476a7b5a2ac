// IKEv2 in the daemon: feeds the protocol core with what happens, and carries out what it wants.
//
//   workers ── IKE frames ──► HostPath ──► received ─┐            ┌─► IP packets ──► HostPath ──► worker 0
//   timer, commands, expiry, traffic on SAs ─────────┼─► IkeCore ─┼─► SaManager: SPIs, SAs
//   KeyWork: key exchanges and signatures done ──────┘            ├─► KeyWork
//                                                                 └─► log, journal
//
// A connection of the configuration with an `ike` group is one connection of the core with one child of the
// same name, and one connection of the SA manager. Control thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/config/configuration.hpp"
#include "control/daemon/assigned_addresses.hpp"
#include "control/daemon/host_path.hpp"
#include "control/daemon/journal.hpp"
#include "control/ike/core.hpp"
#include "control/ike/key_work.hpp"
#include "control/sa/sa_manager.hpp"
#include "datapath/policy/classifier.hpp"

namespace espgate::daemon {

class IkeService {
 public:
  struct Parts {  // all outlive it
    HostPath& path;
    sa::SaManager& sas;
    sa::SaStore& store;
    const policy::Classifier& policies;
    Journal& journal;
    AssignedAddresses* assigned = nullptr;  // null: addresses that peers give are not taken
  };
  explicit IkeService(Parts parts);

  // Whether any connection negotiates: then IKE messages are ours, and else the kernel's.
  bool in_use() const { return !connections_.empty(); }

  // After SaManager::configure. Connections that are as before keep their SAs.
  void configure(const config::Configuration& configuration, Moment now);

  // An Ethernet frame with an IKE message, as a worker punted it.
  void received(std::span<const std::uint8_t> frame, Moment now);
  // Readable while public-key work is done; then `deliver`.
  int descriptor() const { return work_.descriptor(); }
  unsigned deliver() { return work_.deliver(); }
  // What is due, and what traffic says; bounded work. Every few milliseconds.
  void tick(Moment now);
  // An SA of a connection of ours came to a stage of its lifetime.
  void lifetime_reached(const sa::LifetimeNews& news, Moment now);

  // Errors: no such connection, or not one that negotiates.
  Expected<void> initiate(const std::string& connection, Moment now);
  Expected<void> terminate(const std::string& connection, Moment now);
  // The child SA, or the IKE SA that it belongs to.
  enum class What : std::uint8_t { child, ike };
  Expected<void> rekey(const std::string& connection, What what, Moment now);

  const ike::IkeCore& core() const { return core_; }

 private:
  struct Known {
    ike::ConnectionHandle handle;
    config::Connection settings;
    std::uint64_t demand = 0;  // packets that a policy dropped for want of an SA, when last looked at
  };
  struct InboundSpi {
    std::string connection;
    std::uint32_t index = sa::no_sa;  // in the store, once installed
    std::uint64_t packets = 0;        // when last looked at
  };

  void feed(ike::Event event, Moment now);
  void carry_out(const ike::Actions& actions, Moment now);
  void act(const ike::SendDatagram& action, Moment now);
  void act(const ike::RunWork& action, Moment now);
  void act(const ike::InstallInbound& action, Moment now);
  void act(const ike::InstallOutbound& action, Moment now);
  void act(const ike::RetireInbound& action, Moment now);
  void act(const ike::RetireOutbound& action, Moment now);
  void act(const ike::MoveChild& action, Moment now);
  void act(const ike::TakeAddresses& action, Moment now);
  void act(const ike::DropAddresses& action, Moment now);
  void act(const ike::LogLine& action, Moment now);

  std::optional<std::uint32_t> reserve_spi(const std::string& connection);
  std::optional<sa::SaParameters> parameters(const ike::ChildSaParameters& child) const;
  void look_at_traffic(Moment now);
  void look_at_demand(Moment now);
  std::uint64_t demand_of(const std::string& connection) const;
  Expected<void> known(const std::string& connection) const;
  bool is_as_before(std::span<const config::Connection* const> family) const;
  // The IKE SA's connection, and which of its children this one is; empty for the one that has the IKE SA.
  std::pair<std::string, std::string> place_of(const std::string& connection) const;

  Parts parts_;
  ike::KeyWork work_;
  ike::IkeCore core_;
  Moment now_;                     // of the event at hand
  std::deque<ike::Event> events_;  // that one, and those that it brings about
  std::unordered_map<std::string, Known> connections_;
  std::unordered_map<std::uint32_t, InboundSpi> inbound_;                 // by SPI
  std::unordered_map<std::string, std::uint32_t> inbound_of_connection_;  // that its outbound SA came with
  std::deque<std::uint32_t> to_look_at_;                                  // inbound SPIs, in turn
  std::vector<std::string> on_demand_;
  std::size_t next_demand_ = 0;
};

}  // namespace espgate::daemon
