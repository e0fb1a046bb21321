// What a case needs that proves how a process ends: its body, run once more in a process of its own.
//
//   Ended child = in_child([] { std::abort(); });
//   BOOST_TEST(child.signal == SIGABRT);
//
// in_child runs the program again with the same case, and there it comes to the same call of in_child, which now runs the body and ends with
// status 0. What a case does before that call is done in both. fork alone would not do: the other threads are gone in its child.
#pragma once

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <string>
#include <vector>

extern char** environ;

namespace gort::testing {

struct Ended {
  int status = -1;       // exit status; -1: a signal ended it
  int signal = 0;
  std::string error;     // what it wrote to stderr
};

template <class Body>
Ended in_child(Body body) {
  constexpr const char* kMark = "GORT_TEST_CHILD=1";
  if (std::getenv("GORT_TEST_CHILD")) {
    body();
    _exit(0);
  }
  std::string test = "--run_test=" + boost::unit_test::framework::current_test_case().full_name();
  std::vector<const char*> arguments{"core_tests", test.c_str(), "--catch_system_errors=no", "--report_level=no", nullptr};
  std::vector<char*> environment;
  for (char** entry = environ; *entry; entry++) environment.push_back(*entry);
  environment.push_back(const_cast<char*>(kMark));
  environment.push_back(nullptr);
  int pipes[2];
  BOOST_REQUIRE(pipe(pipes) == 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipes[1], STDERR_FILENO);
  posix_spawn_file_actions_addclose(&actions, pipes[0]);
  posix_spawn_file_actions_addclose(&actions, pipes[1]);
  pid_t child;
  int failed = posix_spawn(&child, "/proc/self/exe", &actions, nullptr, const_cast<char**>(arguments.data()), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  close(pipes[1]);
  BOOST_REQUIRE(failed == 0);
  Ended ended;
  char text[4096];
  for (ssize_t n; (n = read(pipes[0], text, sizeof(text))) > 0;) ended.error.append(text, size_t(n));
  close(pipes[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status)) ended.status = WEXITSTATUS(status);
  else ended.signal = WTERMSIG(status);
  return ended;
}

}  // namespace gort::testing
