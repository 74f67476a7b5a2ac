// Runs a program and looks at what came of it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace espgate::test {

struct Outcome {
  int status = -1;  // exit status, or 128 + signal
  std::string out;
  std::string err;
};

class Process {
 public:
  // `environment`: "NAME=value" lines that replace the whole environment.
  Process(const std::vector<std::string>& words, const std::vector<std::string>& environment);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  // Kills it if it still runs.
  ~Process();

  // Reads standard output until it holds `text`; false after 5 s or at its end.
  bool prints(const std::string& text);
  // No longer reads standard output: writing to it raises SIGPIPE.
  void close_output();
  void signal(int number) const;
  // Reads to the end and waits; kills it after 10 s.
  Outcome finish();

 private:
  bool read_some(int timeout_ms);

  pid_t pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  Outcome outcome_;
};

// Process, finish().
Outcome run(const std::vector<std::string>& words, const std::vector<std::string>& environment = {});

}  // namespace espgate::test
