// Numbers with their noun, as messages have them: "1 frame", "2 frames", "3 policies".
#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace espgate {

std::string counted(std::integral auto count, std::string_view noun) {
  auto text = std::to_string(count) + ' ';
  text += noun;
  if (count == 1) return text;
  if (text.back() != 'y') return text + 's';
  text.pop_back();
  return text + "ies";
}

}  // namespace espgate
