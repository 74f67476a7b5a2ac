// The parts of the file, each from its checked group into the Configuration, with the checks that need
// more than one key. Errors go to the group's report.
#pragma once

#include <optional>

#include "control/config/checks.hpp"
#include "control/config/configuration.hpp"
#include "control/config/group_reader.hpp"

namespace espgate::config {

void read_settings(const GroupReader& top, Configuration& configuration, Checks& checks);
void read_hook(const GroupReader& top, Hook& hook);
void read_ports(const GroupReader& top, Configuration& configuration, Checks& checks);
void read_routes(const GroupReader& top, Configuration& configuration, Checks& checks);
void read_policies(const GroupReader& top, Configuration& configuration, Checks& checks);
// Before connections, which are read otherwise if a tunnel names them; what needs both comes in
// check_tunnels.
void read_tunnels(const GroupReader& top, Configuration& configuration, Checks& checks);
void read_connections(const GroupReader& top, Configuration& configuration, Checks& checks);
void read_thresholds(const GroupReader& top, Configuration& configuration);

// What can be judged only when all has been read: limits, and advice for the whole file.
void check_whole(const GroupReader& top, const Configuration& configuration, const Checks& checks);

// What a connection protects; its addresses and mode have been read, and whether routes lead into it.
void read_traffic(const GroupReader& group, Connection& connection, Checks& checks);
// A connection's `ike` group; its addresses have been read. `esn`: what the connection says of it, if
// anything.
void read_ike(const GroupReader& group, std::optional<bool> esn, Connection& connection);
// The part of it that names algorithms, with its defaults.
void read_ike_algorithms(const GroupReader& group, IkeSettings& settings);
// Gives those that are a child of another connection what that one's says.
void settle_children(const GroupReader& top, std::vector<Connection>& connections, const Checks& checks);

// The rest of each tunnel, from its connection: its MTU if the file gives none.
void check_tunnels(Report& report, Configuration& configuration, const Checks& checks);

// The largest inner packet that fits the connection's way out, or nothing if the file does not tell that.
std::optional<unsigned> largest_inner_packet(const Configuration& configuration,
                                             const Connection& connection);

// Warns of inside ports whose packets do not fit their way out.
void check_mtus(const GroupReader& top, const Configuration& configuration, const Checks& checks);

// Warns where our own address on a port with ipsec lies in a connection's networks, and nothing of it is
// bypassed.
void warn_of_lockout(Report& report, const Configuration& configuration, const Checks& checks);

// Warns of policies that bypass what goes to the only inside port's own network, which needs none.
void warn_of_needless_bypass(Report& report, const Configuration& configuration, const Checks& checks);

// Warns of policies and selectors that can never match, since one that is searched before takes all they
// take.
void warn_of_shadows(Report& report, const Configuration& configuration, const Checks& checks);

}  // namespace espgate::config
