// The parts of the file, each from its checked group into the Configuration, with the checks that need
// more than one key. Errors go to the group's report.
#pragma once

#include "control/config/checks.hpp"
#include "control/config/configuration.hpp"
#include "control/config/group_reader.hpp"

namespace espgate::config {

void read_settings(const GroupReader& top, Configuration& configuration, Checks& checks);
void read_ports(const GroupReader& top, Configuration& configuration, Checks& checks);
void read_routes(const GroupReader& top, Configuration& configuration, Checks& checks);
void read_policies(const GroupReader& top, Configuration& configuration, Checks& checks);
void read_connections(const GroupReader& top, Configuration& configuration, Checks& checks);
void read_thresholds(const GroupReader& top, Configuration& configuration);

// What can be judged only when all has been read: limits, and advice for the whole file.
void check_whole(const GroupReader& top, const Configuration& configuration, const Checks& checks);

// Warns of inside ports whose packets do not fit their way out.
void check_mtus(const GroupReader& top, const Configuration& configuration, const Checks& checks);

// Warns of policies and selectors that can never match, since one that is searched before takes all they
// take.
void warn_of_shadows(Report& report, const Configuration& configuration, const Checks& checks);

}  // namespace espgate::config
