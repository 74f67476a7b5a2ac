// Aligned columns between dashed lines, as network engineers know them from `show platform ... drop`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace espgate::cli {

enum class Align : std::uint8_t { left, right };
enum class Mark : std::uint8_t { plain, alarm };

struct Column {
  std::string_view title;
  Align align = Align::left;
};

struct Cell {
  Cell(std::string text_, Mark mark_ = Mark::plain) : text(std::move(text_)), mark(mark_) {}

  std::string text;
  Mark mark;  // an alarm is red where colors are wanted
};

class TextTable {
 public:
  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // As many cells as columns.
  void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }
  // Titles between dashed lines, then the rows; no blanks at line ends. Width counts UTF-8 characters.
  std::string text(bool color = false) const;

 private:
  std::vector<std::size_t> widths() const;
  std::string line(const std::vector<Cell>& row, const std::vector<std::size_t>& widths, bool color) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// "text" in red when `color`.
std::string alarm(std::string_view text, bool color);

}  // namespace espgate::cli
