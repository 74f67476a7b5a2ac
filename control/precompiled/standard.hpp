// What most files of a large folder include, compiled once for all of them. Each file still includes what it
// uses: builds file by file go without this (scripts/build --by-file). No guard, which a precompiled header
// must not have.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>
