// Does a handler's result have the shape that the command table documents?
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "control/cli/command.hpp"

namespace espgate::cli {

// "" when it does, else where it differs and how ("sas[0].spi: number instead of string"). A key's value may
// be null where the example has one, never left out; keys the example lacks are differences too. Every
// element of an array is compared with the example's first. For streams the result is the collected
// document: {"<items>": [...], keys of the closing result}.
std::string shape_difference(const Command& command, const nlohmann::json& result);

}  // namespace espgate::cli
