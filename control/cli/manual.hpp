// The man page espgatectl(8), made from the command table.
#pragma once

#include <string>

namespace espgate::cli {

std::string manual_page();

}  // namespace espgate::cli
