#include "drivers/port/vdev_drivers.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <rte_build_config.h>
#include <rte_devargs.h>
#include <rte_log.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string_view>

namespace espgate::port {
namespace {

// Drivers register with their bus when their library is loaded. EAL does the same at its start, from the same
// place; a library that is loaded twice registers once.
std::vector<std::string> load_plugins() {
  std::vector<std::string> files;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(RTE_EAL_PMD_PATH, ignored))
    if (entry.path().string().find(".so") != std::string::npos) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const auto& file : files) (void)dlopen(file.c_str(), RTLD_NOW);
  return files;
}

// Whether a driver takes a device of that name.
bool has_driver(const std::string& device) {
  const int level = rte_log_get_level(RTE_LOGTYPE_EAL);
  rte_log_set_level(RTE_LOGTYPE_EAL, RTE_LOG_EMERG);  // the answer is enough
  rte_devargs parsed{};
  const bool known = rte_devargs_parse(&parsed, device.c_str()) == 0;
  std::free(parsed.data);
  rte_log_set_level(RTE_LOGTYPE_EAL, static_cast<std::uint32_t>(level));
  return known;
}

// DPDK has no list of virtual devices to ask for. Most drivers have the name of their file; librte_net_tap
// and librte_net_virtio have others as well.
std::set<std::string> known_drivers(const std::vector<std::string>& plugins) {
  constexpr std::string_view prefix = "librte_";
  std::set<std::string> names{"net_tun", "net_virtio_user"};
  for (const auto& plugin : plugins) {
    const auto file = std::filesystem::path(plugin).filename().string();
    if (file.starts_with("librte_net_"))
      names.insert(file.substr(prefix.size(), file.find('.') - prefix.size()));
  }
  std::erase_if(names, [](const std::string& name) { return !has_driver(name); });
  return names;
}

}  // namespace

Expected<void> check_vdev_driver(const std::string& device) {
  static const auto plugins = load_plugins();
  if (has_driver(device)) return {};
  const auto drivers = known_drivers(plugins);
  return Error{fmt::format("DPDK has no driver for the device {}", device.substr(0, device.find(','))),
               fmt::format("name a PCI address such as \"0000:3b:00.0\", or a virtual device such as "
                           "\"net_af_packet0,iface=eth1\", of one of the drivers {}",
                           fmt::join(drivers, ", "))};
}

}  // namespace espgate::port
