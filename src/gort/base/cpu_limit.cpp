#include "gort/base/cpu_limit.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string_view>
#include <vector>

namespace gort {
namespace {

bool lists(std::string_view list, std::string_view item) {
  while (!list.empty()) {
    size_t comma = list.find(',');
    if (list.substr(0, comma) == item) return true;
    if (comma == list.npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

// The process's place in the hierarchy that has the cpu controller: version 1 if it is there, as in Go.
struct Place {
  bool version_1 = false;
  std::string path;
};

std::optional<Place> find_place(const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  std::optional<Place> found;
  for (std::string line; std::getline(file, line);) {   // hierarchy:controllers:path
    size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == line.npos) continue;
    std::string_view controllers = std::string_view(line).substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    if (lists(controllers, "cpu")) return Place{true, path};
    if (line.starts_with("0::")) found = Place{false, path};
  }
  return found;
}

// Where that hierarchy is mounted, and the folders from the process's group up to the mount.
std::vector<std::string> find_folders(const std::string& root, const Place& place) {
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    size_t dash = line.find(" - ");
    if (dash == line.npos) continue;
    std::istringstream mount(line.substr(0, dash)), system(line.substr(dash + 3));
    std::string skipped, top, point, type, source, options;
    mount >> skipped >> skipped >> skipped >> top >> point;
    system >> type >> source >> options;
    if (place.version_1 ? type != "cgroup" || !lists(options, "cpu") : type != "cgroup2") continue;
    if (top == "/") top.clear();
    if (!place.path.starts_with(top)) continue;   // mounted from elsewhere in the hierarchy
    std::string below = place.path.substr(top.size());
    while (below.ends_with('/')) below.pop_back();
    std::vector<std::string> folders;
    for (;;) {
      folders.push_back(root + point + below);
      if (below.empty()) return folders;
      below.resize(below.rfind('/'));
    }
  }
  return {};
}

std::optional<double> limit_of(const std::string& folder, bool version_1) {
  double quota = 0, period = 0;
  if (version_1) {
    std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  } else {
    std::ifstream(folder + "/cpu.max") >> quota >> period;   // "max 100000": no number, no quota
  }
  if (quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

}  // namespace

int num_cpu() {
  cpu_set_t set;
  int n = sched_getaffinity(getpid(), sizeof(set), &set) == 0 ? CPU_COUNT(&set) : int(sysconf(_SC_NPROCESSORS_ONLN));
  return std::max(n, 1);
}

std::optional<double> cgroup_cpu_limit(const std::string& root) {
  std::optional<Place> place = find_place(root);
  if (!place) return std::nullopt;
  std::optional<double> least;
  for (const std::string& folder : find_folders(root, *place)) {
    std::optional<double> limit = limit_of(folder, place->version_1);
    if (limit && (!least || *limit < *least)) least = limit;
  }
  return least;
}

int default_procs(int cpus, std::optional<double> limit) {
  if (!limit || *limit >= cpus) return cpus;
  return std::min(cpus, std::max(2, int(std::ceil(*limit))));
}

}  // namespace gort
