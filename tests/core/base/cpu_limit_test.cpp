#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>
#include <string>

#include "gort/base/cpu_limit.h"

using namespace gort;

namespace {

// A tree of files as /proc and a mounted hierarchy show them.
class Files {
 public:
  Files() {
    std::string name = (std::filesystem::temp_directory_path() / "gort_cgroup_XXXXXX").string();
    BOOST_REQUIRE(mkdtemp(name.data()));
    root_ = name;
  }
  ~Files() { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  std::optional<double> limit() const { return cgroup_cpu_limit(root_); }

 private:
  std::string root_;
};

#define MOUNTS_2 "24 1 0:21 / /proc rw - proc proc rw\n30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
const char* const kMounts2 = MOUNTS_2;
const char* const kBothMounts =
    "31 24 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "32 24 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" MOUNTS_2;

}  // namespace

BOOST_AUTO_TEST_SUITE(cpu_limit_)

BOOST_AUTO_TEST_CASE(the_smallest_quota_on_the_way_up_holds_in_version_2) {
  Files files;
  files.write("/proc/self/cgroup", "0::/team/job\n");
  files.write("/proc/self/mountinfo", kMounts2);
  BOOST_TEST(!files.limit());
  files.write("/sys/fs/cgroup/team/job/cpu.max", "max 100000\n");
  BOOST_TEST(!files.limit());
  files.write("/sys/fs/cgroup/team/job/cpu.max", "350000 100000\n");
  BOOST_TEST(*files.limit() == 3.5);
  files.write("/sys/fs/cgroup/team/cpu.max", "50000 20000\n");
  BOOST_TEST(*files.limit() == 2.5);
}

BOOST_AUTO_TEST_CASE(version_1_is_asked_where_it_has_the_cpu_controller) {
  Files files;
  files.write("/proc/self/cgroup", "4:memory:/m\n3:cpu,cpuacct:/box\n0::/other\n");
  files.write("/proc/self/mountinfo", kBothMounts);
  files.write("/sys/fs/cgroup/other/cpu.max", "100000 100000\n");
  BOOST_TEST(!files.limit());
  files.write("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "-1\n");
  files.write("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n");
  BOOST_TEST(!files.limit());
  files.write("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "400000\n");
  BOOST_TEST(*files.limit() == 4.0);
}

BOOST_AUTO_TEST_CASE(a_part_of_the_hierarchy_may_be_mounted) {
  Files files;   // a container without a namespace of its own: its group is the top of what it sees
  files.write("/proc/self/cgroup", "0::/docker/abc/inner\n");
  files.write("/proc/self/mountinfo", "30 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
  files.write("/sys/fs/cgroup/cpu.max", "150000 100000\n");
  files.write("/sys/fs/cgroup/inner/cpu.max", "max 100000\n");
  BOOST_TEST(*files.limit() == 1.5);
}

BOOST_AUTO_TEST_CASE(nothing_is_found_where_nothing_is) {
  Files files;
  BOOST_TEST(!files.limit());
  files.write("/proc/self/cgroup", "nonsense\n0::/a\n");
  files.write("/proc/self/mountinfo", "short line\n - cgroup2\n");
  BOOST_TEST(!files.limit());
}

// Go: adjustCgroupGOMAXPROCS
BOOST_AUTO_TEST_CASE(the_default_is_the_limit_rounded_up_but_two_at_least) {
  BOOST_TEST(default_procs(8, std::nullopt) == 8);
  BOOST_TEST(default_procs(8, 2.5) == 3);
  BOOST_TEST(default_procs(8, 0.3) == 2);
  BOOST_TEST(default_procs(1, 0.3) == 1);
  BOOST_TEST(default_procs(4, 9.0) == 4);
}

BOOST_AUTO_TEST_SUITE_END()
